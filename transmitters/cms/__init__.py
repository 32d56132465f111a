"""CMS platforms: WordPress, Ghost, Webflow. `docs/platforms.md` says how to add one."""

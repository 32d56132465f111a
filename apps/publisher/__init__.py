"""CMS sites: what is to be shown where, and what is shown (cms contract)."""

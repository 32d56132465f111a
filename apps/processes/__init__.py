"""The processes of an installation, started and watched together."""

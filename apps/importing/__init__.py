"""Items that come in as files in ninjs."""

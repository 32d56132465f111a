"""Login and sessions."""

"""Expiry of items, what remains of them in `archived`, and the long-term archive."""

"""Feeds: what a subscriber has received, for readers that fetch it (formats contract 8 row 4)."""

"""Highlights: named selections of items; and marks of items, for them and for desks."""

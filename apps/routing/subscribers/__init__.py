"""Subscribers: who receives items, by which destinations."""

"""Destinations of subscribers: how they do, and what can be done with one."""

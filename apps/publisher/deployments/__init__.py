"""Deployments: many items of a site at once, in full or what has changed."""

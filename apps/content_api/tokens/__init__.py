"""Tokens that subscribers read with: the content API, feeds."""

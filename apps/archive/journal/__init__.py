"""Writes of one item that span several collections, safe against a crash at any instruction."""

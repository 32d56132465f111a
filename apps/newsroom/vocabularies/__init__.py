"""Vocabularies: controlled terms, and the custom fields of items."""

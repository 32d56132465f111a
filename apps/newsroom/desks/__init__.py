"""Desks: where people work on items together."""

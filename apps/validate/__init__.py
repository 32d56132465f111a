"""Publish validation: whether an item may go out, by its profile, settings or the validators."""

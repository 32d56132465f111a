"""Content templates: what new items, and notices of kills, start with."""

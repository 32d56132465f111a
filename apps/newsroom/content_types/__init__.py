"""Content types: the profiles that items are written by."""

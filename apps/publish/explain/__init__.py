"""Why each subscriber got a version of an item, or did not."""

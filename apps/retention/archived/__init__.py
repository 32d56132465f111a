"""`archived`: what was published of items that have expired."""

"""Products: what subscribers subscribe to."""

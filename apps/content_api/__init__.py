"""The content API: what subscribers read of published items, and how it gets there."""

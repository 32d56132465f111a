"""Filter conditions and content filters: what an item has to be like."""

"""Output formats as clients see them."""

"""Send a published item again, to chosen subscribers."""

"""The delivery engine: lanes, whatever is done in them."""

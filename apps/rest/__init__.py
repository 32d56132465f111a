"""The REST edge: the only room that knows Eve. All below speaks of documents and callers."""

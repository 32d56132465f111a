"""The REST edge: the only package that knows Eve. All below speaks of documents and callers."""

"""Searches of items: what clients of Elasticsearch write, as queries of the store."""

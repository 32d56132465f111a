"""MongoDB: connections, indexes, counters."""

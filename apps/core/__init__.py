"""Words and rules every room shares. Nothing here talks to a store, a network or a framework."""

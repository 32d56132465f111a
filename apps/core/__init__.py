"""Words and rules that all packages share. Nothing here talks to a store or a network."""

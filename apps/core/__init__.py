"""Words and rules that all packages share; nothing here knows a store, a network or a framework."""

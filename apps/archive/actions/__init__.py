"""What editors do with items beside saving them: one module per action."""

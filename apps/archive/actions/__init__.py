"""Actions of editors on items, beside saving them: one module per action."""

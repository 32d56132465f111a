"""Stores for the demo, development and tests; production brings its own."""

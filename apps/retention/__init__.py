"""What becomes of items whose time is over, and what is kept for good."""

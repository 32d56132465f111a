"""What was uploaded where."""

"""The publish operations: validate an item, move it to its state, hand it to the enqueue task."""

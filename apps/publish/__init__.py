"""From the publish action to the receipt: content, enqueue, transmit."""

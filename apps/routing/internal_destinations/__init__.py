"""Internal destinations: desks that published items are copied to."""

"""Activities: messages to users, which wait for a day until they have been read."""

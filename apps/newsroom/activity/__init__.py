"""What users are told personally: it waits for a day until they have read it."""

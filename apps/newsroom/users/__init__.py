"""Users: the people of the newsroom."""

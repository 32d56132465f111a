"""Items as editors work on them: create, save, versions, history."""

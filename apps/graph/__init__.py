"""The object graph: every service with its collaborators, one module per wing of the house."""

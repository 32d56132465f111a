"""Publishing records: what is to be shown at an integration, and what is shown."""

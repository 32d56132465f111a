"""The newsroom around the items: people, desks, vocabularies, profiles. Knows no items."""

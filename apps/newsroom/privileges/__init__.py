"""Privileges: the list that roles and users are granted from."""

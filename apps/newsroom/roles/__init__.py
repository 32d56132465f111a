"""Roles: privileges that users share."""

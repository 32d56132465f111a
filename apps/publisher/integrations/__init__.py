"""Integrations: the sites of platforms, how they are reached, and what was found there."""

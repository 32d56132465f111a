"""Binaries: pictures, audio and video of items, and deliveries that are no text."""

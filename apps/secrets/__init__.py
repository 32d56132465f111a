"""Secrets at rest: encrypted wherever they are stored."""

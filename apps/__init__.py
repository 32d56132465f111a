"""Wiredesk: one package per domain. `docs/architecture.md` is the map."""

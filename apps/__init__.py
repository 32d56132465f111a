"""The rooms of Wiredesk: one package per domain. `docs/architecture.md` is the map."""

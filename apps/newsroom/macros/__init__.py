"""Macros: python modules of the installation that change items, in `MACROS_DIR`."""

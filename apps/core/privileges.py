"""How resources say who may call them."""

INTRINSIC = "*"
"""Privilege of methods that any logged-in user may call; the service checks the rest."""

NO_PRIVILEGE = "Insufficient privileges for the requested operation."
"""Message of a refusal for lack of a privilege."""

"""Sites: what integrations belong to, and what the public may know of them."""

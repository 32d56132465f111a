"""Terms of sites, as last synced, and what terms of items they stand for."""

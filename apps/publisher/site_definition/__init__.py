"""What the public may know of a site: its taxonomies, kinds of content and addresses."""

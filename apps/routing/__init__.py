"""The rules of who receives what: filters, products, subscribers, internal destinations."""

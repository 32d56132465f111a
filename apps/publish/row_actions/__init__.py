"""What clients do with rows of the delivery queue, one or many at a time, and look at before."""

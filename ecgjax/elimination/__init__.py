"""Which leads a network can do without."""

"""Series of runs that differ in fields of the config: planned, trained one by one or together, and compared."""

"""How training scales with the number of GPUs: measured where it can be, modelled past that."""

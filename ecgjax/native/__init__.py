"""What XLA on CPU is slow at, in C++ that is compiled once on the machine that runs it."""

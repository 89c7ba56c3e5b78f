"""Is the signal itself all right: flat, noisy and clipped leads, gain, polarity, the order of names; without JAX."""

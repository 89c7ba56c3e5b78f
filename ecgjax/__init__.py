"""ecgjax: deep learning on the electrocardiogram in JAX."""

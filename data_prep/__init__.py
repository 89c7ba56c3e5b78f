"""Raw downloads to TFDS record files: one builder a dataset, and `python -m data_prep` to run them."""

from data_prep.prepare import ensure_prepared

__all__ = ["ensure_prepared"]

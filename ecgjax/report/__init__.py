"""The page that a run leaves: figures with intervals, pictures and examples, in one file."""

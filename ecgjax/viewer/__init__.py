"""Pages that are one file: a viewer of recordings, what was found in them, and the style that all pages share."""

"""Finished runs compared: by group of records, and with each other."""

"""Records in memory, from prepared record files."""

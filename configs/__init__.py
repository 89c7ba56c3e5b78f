"""One configuration file a task; `common` holds what they share."""

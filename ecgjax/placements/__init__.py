"""How a record may have been wired: hypotheses, what networks make of them, and trials of both."""

"""ECGs on paper: drawn, damaged, and read again."""

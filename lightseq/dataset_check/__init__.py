"""Check a dataset: its split, duplicates and odd characters."""

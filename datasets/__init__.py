"""Datasets, each a leaf: nothing in the core imports them, and they enter by their entry points."""

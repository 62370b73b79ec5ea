"""Constrain sampling to tunes that follow the ABC standard."""

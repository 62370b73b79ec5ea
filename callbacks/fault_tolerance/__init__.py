"""Callbacks that save, stop and resume a run."""

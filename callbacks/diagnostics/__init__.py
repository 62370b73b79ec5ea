"""Callbacks that show what a model has learned."""

"""Callbacks that sample text during training, and where the samples are shown."""

"""Recurrent sequence models with PyTorch Lightning: ``lightseq fit --config dinos``."""

from importlib.metadata import version

__version__ = version("lightseq-rnn")

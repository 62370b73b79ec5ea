"""Recurrent networks behind one interface; each is an entry point of the group ``lightseq.backbones``."""

from .base import Backbone, detach, reset_rows

__all__ = ["Backbone", "detach", "reset_rows"]

"""Encode a corpus once: scan it, number its tokens, and keep them in memory-mapped files."""

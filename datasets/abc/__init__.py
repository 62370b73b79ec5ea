"""Tunes in ABC notation: the corpus, what is wrong with a tune, how it sounds and what it looks like."""

"""Tunes in ABC notation: the corpus, what is wrong with a tune, how it sounds and what it looks like.

``dataset`` puts it together. Of a file, ``tunes`` finds the tunes, and ``notation`` brings them into other keys. Of a
text, ``reader`` makes music (of ``header`` fields and ``bars``), which ``checker`` judges. ``performance`` plays it
for ``synthesis`` and ``midi``; ``piano_roll`` draws it, and ``score`` asks ``engraver``. What may be written next is
said by ``grammar``: ``header_grammar``, then ``music_grammar`` on the states of ``music_state``.
"""

"""The contract of a dataset's hooks: what they return is data, whatever a model writes."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..data import TextDataset
from ..errors import quote
from ..types import Document, Rendering
from ..vocabulary import BOUNDARY, unescape

SAMPLES, RENDERED, LENGTH = 20, 3, 2000
"""So many texts are judged, and of them rendered, of so many characters at the most."""

WALK = 300
"""Tokens of a text that is drawn of a grammar, at the most."""


def check_hooks(dataset: TextDataset, other: TextDataset, documents: Sequence[str | Document]) -> None:
    """Hold ``judge``, ``render``, ``grammar``, ``problems`` and ``fingerprint`` to what ``TextDataset`` says of them.

    Args:
        dataset: The dataset.
        other: Another instance, made alike.
        documents: Its documents.

    Raises:
        AssertionError: Where it does not hold.
    """
    texts = [_text(document)[:LENGTH] for document in documents[:SAMPLES]]
    written = ["", "\n", *(text[: len(text) // 2] for text in texts[:1]), *(text[::-1] for text in texts[:1])]
    for many in (texts, written):
        _check_shares(_called("judge", dataset.judge, many))
    for text in [*texts[:RENDERED], *written]:
        _check_rendering(_called("render", dataset.render, text))
    if dataset.layout == "documents":
        _check_grammar(dataset, documents)
    problems = list(dataset.problems())
    assert all(type(problem) is str for problem in problems), f"problems() gives strings, not {problems!r:.80}"
    marks = [dataset.fingerprint(), dataset.fingerprint(), other.fingerprint()]
    said = [mark for mark in marks if mark is not None]
    assert all(type(mark) is str for mark in said), f"fingerprint() gives a string or None, not {said[:1]!r:.80}"
    assert len(set(said)) <= 1, f"fingerprint() changes while the documents do not: {', '.join(said):.80}"


def _text(document: str | Document) -> str:
    return unescape("".join(document.tokens if isinstance(document, Document) else document))


def _called(name: str, hook: Callable[[Any], Any], given: Any) -> Any:
    try:
        return hook(given)
    except Exception as error:  # a model may write anything
        raise AssertionError(f"{name}() raises {quote(error)} when it is given {given!r:.80}") from error


def _check_grammar(dataset: TextDataset, documents: Sequence[str | Document]) -> None:
    """Draw a text of the grammar, evenly, as the sampler would."""
    known = {token for given in documents for token in (given.tokens if isinstance(given, Document) else given)}
    grammar = _called("grammar", dataset.grammar, [BOUNDARY, *sorted(known)])
    if grammar is None:
        return
    generator, written = random.Random(0), list[str]()
    try:
        state = grammar.start()
        for left in reversed(range(WALK + 1)):
            hash(state)
            allowed = sorted(grammar.allowed(state, left))
            if not allowed and left == WALK:
                return  # it may be that no valid text is so short
            assert allowed, f"grammar() allows nothing after {''.join(written)!r}, which it allowed"
            strange = set(allowed) - known - {BOUNDARY}
            assert not strange, f"grammar() allows {min(strange)!r}, which is none of the tokens it was given"
            token = generator.choice(allowed)
            if token == BOUNDARY:
                return
            written.append(token)
            state = grammar.advance(state, token)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"grammar() raises {quote(error)} after {''.join(written)!r}") from error
    raise AssertionError("grammar() allows a token where none is left, the end not counted")


def _check_shares(shares: Any) -> None:
    assert isinstance(shares, Mapping), f"judge() gives shares by name, not {shares!r:.80}"
    for name, share in shares.items():
        assert type(name) is str, f"judge() names its shares with strings, not {name!r}"
        fits = type(share) in (int, float) and 0 <= share <= 1
        assert fits, f"judge() gives shares between 0 and 1, and {name!r} is {share!r}"


def _check_rendering(rendering: Any) -> None:
    assert isinstance(rendering, Rendering), f"render() gives a lightseq.types.Rendering, not {rendering!r:.80}"
    if rendering.image is not None:
        image = np.asarray(rendering.image)
        pixels = image.ndim == 3 and image.shape[2] == 3 and image.size and image.dtype == np.uint8
        assert pixels, f"an image is (height, width, 3) uint8, not {image.shape} {image.dtype}"
    if rendering.audio is not None:
        audio = np.asarray(rendering.audio)
        mono = audio.ndim == 1 and audio.dtype == np.float32
        assert mono, f"audio is (samples,) float32, not {audio.shape} {audio.dtype}"
        assert (np.abs(audio) <= 1).all(), "audio is between -1 and 1"
        fits = type(rendering.sample_rate) is int and rendering.sample_rate > 0
        assert fits, f"audio has a sample_rate in hertz, a whole number, not {rendering.sample_rate!r}"
    assert isinstance(rendering.files, Mapping), (
        f"files are bytes by the end of their name, not {rendering.files!r:.80}"
    )
    for end, content in rendering.files.items():
        named = type(end) is str and re.fullmatch(r"\.\w+", end)
        assert named, f"files are named by the end of their name, like .mid, not {end!r:.80}"
        assert type(content) is bytes, f"the file {end} is bytes, not {type(content).__name__}"
    lines = type(rendering.remarks) in (list, tuple) and all(
        type(remark) is str and "\n" not in remark for remark in rendering.remarks
    )
    assert lines, f"remarks are a list or a tuple of strings of one line each, not {rendering.remarks!r:.80}"

"""What the data doctor found, as lines for a terminal."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..vocabulary import shorten
from .characters import RARE
from .doctor import Documents, Report
from .duplicates import SHINGLE, SHORTEST, SIMILAR, WINDOW, WINDOW_HELD_OUT, WINDOW_TRAIN
from .ngram import HELD_OUT_LIMIT, ORDERS, TRAIN_LIMIT, Yardsticks

SHOWN = 10
"""Tokens, labels and rows of bars, at the most."""

BAR = 40
"""Characters of the longest bar."""

Array = npt.NDArray[Any]


def headline(yardsticks: Yardsticks) -> str:
    """What a model has to beat, in one line to begin a training with."""
    values = ", ".join(f"{name} {nats:.3f}" for name, nats in yardsticks.rows.items())
    unit = "label" if yardsticks.characters is None else "token"
    return f"beat   {values} nats a {unit} (validation{', from a sample' if yardsticks.cut else ''})"


def lines(report: Report) -> list[str]:
    """The whole report: a line a finding, its name in front."""
    sections = {
        "corpus": _corpus(report),
        "splits": _splits(report),
        "vocabulary": _vocabulary(report),
        "lengths": _lengths(report.own.lengths) if report.own else (),
        "duplicates": _duplicates(report.own) if report.own else (),
        "overlap": _overlap(report),
        "broken": _broken(report),
        "labels": _labels(report),
        "batches": _batches(report),
        "yardsticks": _yardsticks(report.yardsticks),
    }
    return [f"{name if i == 0 else '':11} {line}" for name, own in sections.items() for i, line in enumerate(own)]


def _corpus(report: Report) -> Iterator[str]:
    kind = _number(report.documents, "document") if report.own else "one stream"
    yield f"{report.name}: {kind}, {report.tokens:,} tokens, {_number(report.characters, 'character')}"


def _splits(report: Report) -> Iterator[str]:
    whole = sum(tokens for _, tokens in report.sizes.values())
    for split, (documents, tokens) in report.sizes.items():
        count = f"{documents:>10,} documents " if report.own else ""
        yield f"{split:6}{count}{tokens:>13,} tokens {tokens / max(1, whole):>8.1%}"


def _vocabulary(report: Report) -> Iterator[str]:
    present = [token for token, count in zip(report.vocabulary, report.counts, strict=True) if count]
    boundary = ", the boundary before and after a document among them" if report.own else ""
    yield f"{len(report.vocabulary)} tokens{boundary}"
    if max(map(len, present)) == 1:
        yield shorten(repr("".join(present)), 98)
    else:
        order = np.argsort(-report.counts, kind="stable")[:SHOWN]
        yield "the most frequent: " + ", ".join(repr(report.vocabulary[i]) for i in order)
    if absent := len(report.vocabulary) - len(present) - bool(report.own):
        yield f"{_number(absent, 'token')} of them never there"
    few = [f"{_named(token)} {count}" for token, count in report.rare[:SHOWN]]
    yield f"rare, fewer than {RARE} times: {len(report.rare) or 'none'}{_listed(few, len(report.rare))}"
    yield f"odd: {len(report.odd) or 'none'}{' (control, invisible, undecoded, not in NFC)' if not report.odd else ''}"
    for odd in report.odd[:SHOWN]:
        yield f"  {_named(odd.text)}: {odd.kind}, {_number(odd.times, 'time')}"


def _lengths(lengths: Array) -> Iterator[str]:
    low, high = int(lengths.min()), int(lengths.max())
    mean = f"median {np.median(lengths):,.0f}, mean {lengths.mean():,.1f}"
    yield f"{low:,} to {high:,} tokens a document, {mean}"
    edges = _edges(low, high)
    counts, _ = np.histogram(lengths, edges)
    bounds = [(a, min(b - 1, high)) for a, b in pairwise(edges)]
    rows = [f"{a:,}" if a == b else f"{a:,}-{b:,}" for a, b in bounds]
    width = max(map(len, rows))
    for row, count in zip(rows, counts, strict=True):
        bar = "#" * -(-BAR * int(count) // int(counts.max()))
        yield f"{row:>{width}} {bar:{BAR}} {count:>9,}"


def _edges(low: int, high: int) -> Array:
    """Of equally wide rows, or, where lengths are of several orders of magnitude, of ever wider ones."""
    if high > 20 * max(1, low) and high > 100:
        edges = np.geomspace(max(1, low), high + 1, SHOWN + 1).round().astype(int)
        return np.unique(np.concatenate([[low], edges[1:]]))
    width = -(-(high - low + 1) // SHOWN)
    return np.arange(low, high + width + 1, width)


def _duplicates(own: Documents) -> Iterator[str]:
    equal, near = own.equal, own.near
    among = "" if equal.examined == len(own.lengths) else f", of the first {equal.examined:,}"
    share = f"{_number(equal.repeats, 'document')} ({equal.repeats / equal.examined:.1%})" if equal.repeats else "none"
    yield f"equal: {share} with the text of an earlier one{among}"
    if equal.most:
        yield "  most often " + ", ".join(f"{own.texts[number]!r} x {times}" for number, times in equal.most)
    if not near.examined:
        yield f"near: not looked for, no document has {SHORTEST} tokens"
        return
    yield (
        f"near: {near.found or 'none'} of the {near.examined:,} compared ({SHORTEST} tokens or more, distinct) with "
        f"{SIMILAR:.0%} of their {SHINGLE}-token pieces in common"
    )
    for similarity, one, other in near.pairs:
        yield f"  {similarity:.0%} {one + 1:,}: {own.texts[one]!r} and {other + 1:,}: {own.texts[other]!r}"


def _overlap(report: Report) -> Iterator[str]:
    if report.own is None:
        (_, train), (_, val) = report.sizes["train"], report.sizes["val"]
        yield f"{report.window_overlap:.1%} of the validation windows of {WINDOW} tokens also stand in training"
        if train > WINDOW_TRAIN or val > WINDOW_HELD_OUT:
            looked = f"of the first {WINDOW_HELD_OUT:,} validation tokens, in the last {WINDOW_TRAIN:,} of training"
            yield f"  ({looked})"
        return
    overlap = report.own.overlap
    yield f"{overlap.dealt:.1%} of the held-out documents also stand in training, as they are dealt"
    if overlap.single:
        yield f"{overlap.random:.1%} would if dealt at random, whatever their texts, with the same fractions and seed,"
        yield f"{overlap.single:.1%} if a few alone were held out: the share of documents that stand more than once"


def _broken(report: Report) -> Iterator[str]:
    yield _number(report.problem_count, "record") if report.problem_count else "none"
    for problem in report.problems:
        yield f"  {problem}"
    if report.problem_count > len(report.problems):
        yield f"  and {report.problem_count - len(report.problems):,} more"


def _labels(report: Report) -> Iterator[str]:
    if not report.labels:
        return
    order = sorted(report.labels, key=lambda label: -sum(report.labels[label].values()))
    width = max(5, *(len(shorten(label)) for label in order[:SHOWN]))
    yield f"{'':{width}}" + "".join(f"{split:>10}" for split in report.sizes)
    for label in order[:SHOWN]:
        yield f"{shorten(label):{width}}" + "".join(f"{count:>10,}" for count in report.labels[label].values())
    if len(order) > SHOWN:
        yield f"and {_number(len(order) - SHOWN, 'label')} more"


def _batches(report: Report) -> Iterator[str]:
    own = report.batches
    kind = "lane" if own.lane else "document"
    updates = _number(own.updates, "update")
    yield f"{_number(own.size, kind)} a batch, {own.window:,} time steps a window: {updates} an epoch"
    if own.lane:
        yield f"a lane is {own.lane:,} tokens long: {own.windows:,.0f} windows, one after the other"
    else:
        yield f"{own.longer:.1%} of the training documents are longer than a window; the median has {own.windows:g}"


def _yardsticks(yardsticks: Yardsticks) -> Iterator[str]:
    """Loss and bits per character are in the units of ``val/loss`` and ``val/bpc``."""
    yield "what a model has to beat on the validation part"
    for name, nats in yardsticks.rows.items():
        bits = yardsticks.bits_per_character(nats)
        other = "" if bits is None else f", {bits:.3f} bits a character"
        yield f"  {name:9} {nats:.3f} nats a {'label' if bits is None else 'token'}{other}"
    if yardsticks.order:
        yield f"  (interpolated Kneser-Ney, the best order of 1 to {ORDERS})"
    if yardsticks.cut:
        yield f"  (from a sample: {TRAIN_LIMIT:,} training and {HELD_OUT_LIMIT:,} validation tokens at the most)"


def _named(token: str) -> str:
    return f"{token!r} (U+{ord(token):04X})" if len(token) == 1 else repr(token)


def _listed(shown: Sequence[str], count: int) -> str:
    rest = ", ..." if count > len(shown) else ""
    return f": {', '.join(shown)}{rest}" if shown else ""


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

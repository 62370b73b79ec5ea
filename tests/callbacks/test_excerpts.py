"""Fixed texts, and what a model makes of them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lightseq.callbacks import surprisal
from lightseq.callbacks.drawing import RED
from lightseq.callbacks.excerpts import beginning, choose, read, traces

from lightseq.data import SequenceData
from lightseq.system import SequenceSystem


def test_whole_documents_of_the_validation_split_until_there_are_enough() -> None:
    data = SequenceData("dinos")
    texts = {}
    for document in data.parts["val"]:
        ids = data.store.tokens[data.store.offsets[document] : data.store.offsets[document + 1]].tolist()
        texts["".join(data.vocabulary[i] for i in ids)] = ids
    for count, length in ((2, 40), (6, 40), (1, 1)):
        found = choose(data, count, length)
        sizes = [len(one.names) for one in found]
        assert len(found) >= count
        assert sum(sizes) >= length
        assert len(found) == count or sum(sizes[:-1]) < length
        for one in found:
            name = next(name for name in texts if [*name, "end"][:length] == one.names)
            assert one.targets.tolist() == [*texts[name], 0][:length]
            assert one.tokens.tolist() == [0, *texts[name]][:length]
        assert [one.names for one in choose(data, count, length)] == [one.names for one in found]
    assert len(beginning(choose(data, 6, 40), 40)) < 6


def test_documents_are_not_those_at_the_beginning_of_the_alphabet() -> None:
    found = choose(SequenceData("dinos"), 6, 160)
    assert len({one.names[0] for one in found}) > 3


def test_stretches_of_a_stream_begin_evenly(alphabet: str) -> None:
    data = SequenceData(alphabet)
    part = data.parts["val"]
    first, last = choose(data, 2, 40)
    assert first.tokens.tolist() == part[:40].tolist()
    assert last.targets.tolist() == part[-40:].tolist()
    assert len(choose(data, 2, 10_000)) == 1


def test_bits_are_those_of_the_model(vowels: str) -> None:
    data = SequenceData(vowels)
    torch.manual_seed(0)
    system = SequenceSystem(data.vocabulary, data.labels, embedding_size=3, hidden_size=4).eval()
    torch.nn.init.normal_(system.model.head.weight)
    one = choose(data, 1, 4)[0]
    (reading,) = read(system.model, [one], system.vocabulary, labelled=True)
    chances = system.model(one.tokens[None])[0][0].softmax(-1).detach()
    assert one.names[0] == "start"
    assert np.isnan(reading.bits[0])
    assert reading.candidates == []
    expected = [-float(chances[t, one.targets[t]].log2()) for t in (1, 2, 3)]
    assert reading.bits[1:] == pytest.approx(expected, rel=1e-5)


def test_the_likeliest_come_first_and_padding_changes_nothing() -> None:
    data = SequenceData("dinos")
    torch.manual_seed(0)
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4).eval()
    torch.nn.init.normal_(system.model.head.weight)
    found = choose(data, 2, 20)
    together = read(system.model, found, system.vocabulary, labelled=False)
    internals = traces(system.model, found)
    for one, reading, inner in zip(found, together, internals, strict=True):
        (alone,) = read(system.model, [one], system.vocabulary, labelled=False)
        assert reading.bits == pytest.approx(alone.bits, rel=1e-4)
        logits = system.model(one.tokens[None])[0][0]
        best = [data.vocabulary[i] or "end" for i in logits.argmax(-1).tolist()]
        assert [step[0][0] for step in reading.candidates] == best
        assert all(step[0][1] >= step[1][1] >= step[2][1] for step in reading.candidates)
        assert inner["forget"].shape == (len(one.names), 1, 4)


def test_the_one_that_came_is_known_by_more_than_its_name(plugin: Callable[..., None]) -> None:
    code = """
from lightseq.data import TextDataset

class Accents(TextDataset):
    def documents(self):
        return ["e\\u00e9" * (1 + n) for n in range(30)]
"""
    plugin("accents", "lightseq.datasets", {"accents": "accents_plugin:Accents"}, code)
    data = SequenceData("accents")
    torch.manual_seed(0)
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4).eval()
    torch.nn.init.normal_(system.model.head.weight)
    one, *_ = choose(data, 1, 2)
    (reading,) = read(system.model, [one], system.vocabulary, labelled=False)
    for bits, step in zip(reading.bits, reading.candidates, strict=True):
        assert sorted(name for name, _, _ in step) == ["e", "e", "end"]
        assert [chance for _, chance, came in step if came] == pytest.approx([2**-bits], rel=1e-5)


def test_what_is_no_number_costs_infinitely_much() -> None:
    data = SequenceData("dinos")
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4).eval()
    torch.nn.init.constant_(system.model.head.weight, torch.nan)
    found = choose(data, 1, 20)
    readings = read(system.model, found, system.vocabulary, labelled=False)
    assert all(np.isposinf(reading.bits).all() for reading in readings)
    cell = np.asarray(surprisal.picture(readings))
    assert (cell == RED).all(-1).mean() > 0.05

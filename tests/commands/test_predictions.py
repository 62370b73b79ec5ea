"""``lightseq predict``: what stands in its rows."""

from collections.abc import Callable

import pytest
import torch

from lightseq.checkpoint import load_trained
from lightseq.data import SequenceData

Run = Callable[..., tuple[int, str, str]]


def predicted(run: Run, folder: str, *words: str) -> tuple[list[str], list[list[list[str]]]]:
    """The header, and by document, a blank line between two, the fields of the rows."""
    status, out, err = run(f"predict --ckpt_path {folder}", *words)
    assert status == 0, err
    header, _, rest = out.partition("\n")
    assert rest.endswith("\n")
    blocks = rest.removesuffix("\n").split("\n\n")
    return header.split("\t"), [[line.split("\t") for line in block.split("\n")] for block in blocks]


def test_a_tagged_document_a_row_a_token(run: Run, tiny: str, vowels: str) -> None:
    run(f"fit --config {tiny} --data.dataset {vowels}")
    header, documents = predicted(run, "runs/vowels/version_0")
    assert header == ["token", "label", "predicted", "probability"]
    assert len(documents) == 12
    trained = load_trained("runs/vowels/version_0")
    assert trained.labels is not None
    for rows in documents:
        tokens, labels, guesses, shares = zip(*rows, strict=True)
        assert labels == tuple("vowel" if token in "ae" else "consonant" for token in tokens)
        with torch.no_grad():
            logits, _ = trained.model.eval()(torch.tensor([trained.vocabulary.encode(["", *tokens])]))
        chances, ids = logits[0, 1:].softmax(-1).max(-1)
        assert guesses == tuple(trained.labels[i] for i in ids)
        assert [float(share) for share in shares] == pytest.approx(chances.tolist(), abs=6e-5)


def test_a_classified_document_a_row(run: Run, tiny: str, vowels: str) -> None:
    run(f"fit --config {tiny} --data.dataset {vowels} --data.dataset_args.tagged false")
    header, (rows,) = predicted(run, "runs/vowels/version_0")
    assert header == ["text", "label", "predicted", "probability"]
    data = SequenceData(vowels, {"tagged": False})
    offsets, tokens = data.store.offsets, data.store.tokens
    texts = ["".join(data.vocabulary[i] for i in tokens[offsets[d] : offsets[d + 1]]) for d in data.parts["test"]]
    assert [row[0] for row in rows] == texts
    trained = load_trained("runs/vowels/version_0")
    assert trained.labels is not None
    for text, label, guess, share in rows:
        assert label == ("some" if set(text) & set("ae") else "none")
        with torch.no_grad():
            logits, _ = trained.model.eval()(torch.tensor([[0, *trained.vocabulary.encode(text)]]))
        chances = logits[0, -1].softmax(-1)
        assert trained.labels.index(guess) == chances.argmax()
        assert float(share) == pytest.approx(float(chances.max()), abs=6e-5)


@pytest.mark.parametrize("words", ["dinos", "vowels", "vowels --data.dataset_args.tagged false"])
def test_the_window_and_the_batch_change_no_row(run: Run, tiny: str, vowels: str, words: str) -> None:
    """Documents longer than a window go on over several batches."""
    run(f"fit --config {tiny} --data.dataset {words}")
    folder = f"runs/{words.split(maxsplit=1)[0]}/version_0"

    def rows_by_text(window: int, batch_size: int) -> dict[str, list[list[str]]]:
        sizes = f"--data.window {window} --data.batch_size {batch_size}"
        header, documents = predicted(run, folder, sizes)
        if header[0] == "token":
            return {"".join(row[0] for row in rows): rows for rows in documents}
        return {row[header.index("text")]: [row] for row in documents[0]}

    whole = rows_by_text(100, 64)
    for sizes in ((2, 5), (3, 1)):
        pieces = rows_by_text(*sizes)
        assert set(pieces) == set(whole)
        for text, rows in pieces.items():
            for row, expected in zip(rows, whole[text], strict=True):
                for field, other in zip(row, expected, strict=True):
                    assert field == other or float(field) == pytest.approx(float(other), abs=2e-4)


@pytest.mark.parametrize(("words", "fields"), [("", 2), ("--data.dataset_args.label one", 4)])
def test_a_record_stays_one_row(run: Run, tiny: str, plugin: Callable[..., None], words: str, fields: int) -> None:
    code = r"""
from lightseq.data import TextDataset
from lightseq.types import Document

class Odd(TextDataset):
    def __init__(self, label: str | None = None) -> None:
        self.label = label and f"{label}\twith a tab"

    def documents(self):
        for letter in "abcdefghi":
            yield Document(f"tab\t back\\ line\n return\r{letter}", self.label)
"""
    plugin("odd", "lightseq.datasets", {"odd": "odd_plugin:Odd"}, code)
    run(f"fit --config {tiny} --data.dataset odd {words}")
    header, (rows,) = predicted(run, "runs/odd/version_0")
    assert len(rows) == 1
    assert len(rows[0]) == len(header) == fields
    assert rows[0][header.index("text")][:-1] == r"tab\t back\\ line\n return\r"
    if fields == 4:
        assert rows[0][1:3] == [r"one\twith a tab"] * 2

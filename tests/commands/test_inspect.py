import base64
import json
import os
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lightseq.checkpoint import MODEL_SETTINGS
from lightseq.commands import inspect_page
from lightseq.model import build_model
from lightseq.registry import BACKBONES

Run = Callable[..., tuple[int, str, str]]
LETTERS = ["", *"abcdefghijklmnopqrstuvwxyz"]
CLADES = ["ornithischian", "sauropodomorph", "theropod"]


def checkpoint(
    vocabulary: Sequence[str] = LETTERS,
    labels: Sequence[str] | None = None,
    data: dict[str, object] | None = None,
    backbone: str = "lstm",
) -> str:
    """The path of a checkpoint of a model that was never trained."""
    torch.manual_seed(0)
    settings = dict.fromkeys(MODEL_SETTINGS) | {
        "vocabulary": list(vocabulary),
        "labels": labels and list(labels),
        "backbone": backbone,
        "embedding_size": 3,
        "hidden_size": 6,
        "num_layers": 2,
        "dropout": 0.0,
        "tie_head": False,
    }
    model = build_model(**settings)
    torch.nn.init.normal_(model.head.weight)
    content = {
        "hyper_parameters": settings,
        "datamodule_hyper_parameters": data or {},
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
    }
    torch.save(content, "model.ckpt")
    return "model.ckpt"


def numbers(packed: str) -> list[float]:
    """What an array in a page holds."""
    return [value for (value,) in struct.iter_unpack("<f", base64.b64decode(packed))]


def page(place: str) -> dict[str, Any]:
    """What a page holds."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', Path(place).read_text("utf-8"))
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_a_text_in_a_pipe(run: Run) -> None:
    status, out, err = run(f"inspect {checkpoint()} --text cab --temperature 0,0.5 --top 3")
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0] == "■cab■"
    rows = [line.split() for line in lines if re.match(r"\d ", line)]
    assert [row[:3] for row in rows] == [["0", "■", "c"], ["1", "c", "a"], ["2", "a", "b"], ["3", "b", "■"]]
    total = re.search(r"Their sum, (\d+\.\d+) nats", out)
    assert total
    assert sum(float(row[3]) for row in rows) == pytest.approx(float(total[1]), abs=0.003)
    for row in rows:
        assert float(row[4]) == pytest.approx(float(row[3]) / 0.6931, abs=0.01)
        assert row[5] == row[6]  # what greedy takes is the first candidate
        assert float(row[7]) >= float(row[9]) >= float(row[11])
        assert row[12:16] == ["100", "0", "0", "0.00"]
    gates = [line.split()[:2] for line in lines if re.match(r"[a-z]+ +[12] ", line)]
    names = ["input", "forget", "candidate", "output", "cell", "hidden"]
    assert gates == [[name, layer] for layer in "12" for name in names]


@pytest.mark.parametrize("backbone", ["rnn", "gru", "mingru", "minlstm", "rglru", "mlstm"])
def test_every_backbone_is_shown_and_explained(run: Run, backbone: str) -> None:
    status, out, _ = run(f"inspect {checkpoint(backbone=backbone)} --text cab")
    assert status == 0
    assert re.search(r"^hidden +2 ", out, re.MULTILINE)
    assert run("inspect model.ckpt --text cab --html page.html")[0] == 0
    content = page("page.html")
    assert [gate["layers"] for gate in content["gates"]] == [2] * len(content["gates"])
    assert all(gate["equation"] and "own pages" not in gate["meaning"] for gate in content["gates"])


def test_gates_and_a_layer_are_chosen(run: Run) -> None:
    _, out, _ = run(f"inspect {checkpoint()} --text cab --gates cell,forget --layer 2")
    assert re.findall(r"^([a-z]+) +\S+ to", out, re.MULTILINE) == ["cell", "forget"]
    run("inspect model.ckpt --text cab --gates cell,forget --layer 2 --html page.html")
    run("inspect model.ckpt --text cab --html whole.html")
    content, both = page("page.html"), {gate["name"]: gate for gate in page("whole.html")["gates"]}
    assert [gate["name"] for gate in content["gates"]] == ["cell", "forget"]
    assert content["layers"] == [2]
    second = torch.tensor(numbers(both["cell"]["values"])).view(4, 2, 6)[:, 1]
    assert numbers(content["gates"][0]["values"]) == second.flatten().tolist()


def test_a_document_of_the_validation_split(run: Run) -> None:
    place = checkpoint(data={"dataset": "dinos"})
    _, out, err = run(f"inspect {place}")
    assert err == "lightseq: no --text and no --document: document 0 of the validation split it is\n"
    first = out.splitlines()[0]
    assert re.fullmatch("■[a-z]+■", first)
    assert run(f"inspect {place} --document 0")[:2] == (0, out)
    assert run(f"inspect {place} --document 1")[1].splitlines()[0] != first
    assert run(f"inspect {place} --text {first[1:-1]}")[1] == out
    assert run(f"inspect {place} --document 134")[2] == (
        "lightseq: --document 134: the validation split has 134 documents, counted from 0\n"
    )
    assert run(f"inspect {checkpoint()} --document 0 --data.dataset dinos")[1] == out


def test_an_excerpt_of_a_stream(run: Run, alphabet: str) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    place = checkpoint(letters, data={"dataset": alphabet, "test_fraction": 0.0})
    _, out, err = run(f"inspect {place} --document 1")
    assert (out.splitlines()[0], err) == ((letters * 100)[2340:][200:], "")
    assert "59 of 60 are scored" in out
    assert "has 2 excerpts of 200 tokens, counted from 0" in run(f"inspect {place} --document 2")[2]


def test_labels(run: Run) -> None:
    place = checkpoint(labels=CLADES, data={"dataset": "dino_clades"})
    _, out, _ = run(f"inspect {place} --text abc")
    assert "Nothing is scored: the true label was not said" in out
    _, out, _ = run(f"inspect {place} --text abc --label theropod")
    assert "Only the last time step is scored" in out
    assert [line.split()[2] for line in out.splitlines() if re.match(r"\d ", line)] == [".", ".", ".", "theropod"]
    _, out, _ = run(f"inspect {place} --text abc --label theropod,sauropodomorph,theropod")
    assert "3 of 4 are scored" in out
    _, out, _ = run(f"inspect {place} --document 2")
    assert "Only the last time step is scored" in out
    assert re.search(rf"\d  [a-z] +({'|'.join(CLADES)}) +\d\.\d", out)


def test_tags_come_with_their_document(run: Run, vowels: str) -> None:
    place = checkpoint(["", *"abcde"], ["consonant", "vowel"], {"dataset": vowels})
    _, out, _ = run(f"inspect {place}")
    rows = [line.split() for line in out.splitlines() if re.match(r"\d ", line)]
    assert [row[2] for row in rows] == [".", *("vowel" if row[1] in "ae" else "consonant" for row in rows[1:])]
    assert "3 of 4 are scored" in out


@pytest.mark.parametrize("width", [50, 120])
def test_a_terminal_gets_colours_and_what_it_is_wide_for(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    place = checkpoint()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    text = "tyrannosaurusrex" * 4
    out = run(f"inspect {place} --text {text} --top 5 --temperature 1.0")[1]
    assert "\x1b[" in out
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert len([line for line in lines if re.match(r"\d+ ", line)]) == len(text) + 1
    left_out = [line for line in lines if "candidates: the terminal" in line]
    if width == 120:
        assert max(map(len, lines)) <= width
        assert not left_out
    else:
        assert left_out[0].startswith("(1 of 5 candidates: the terminal is 50 columns")
    drawn = [re.split(r"to \S+ +", line)[1] for line in lines if line.startswith("candidate 1 ")]
    assert sum(map(len, drawn)) == len(text) + 1  # in pieces, none lost
    assert (len(drawn) > 1) == (width == 50)


def test_control_characters_and_markup_are_harmless(run: Run) -> None:
    hostile = [
        "\x1b",
        "\u202e",
        "[red]",
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "\udce9",
    ]
    place = checkpoint(["", "a", *hostile])
    _, out, _ = run("inspect", place, "--html=page.html", "--text=a[red]</script><script>alert(1)</script>\u202e")
    assert out == "wrote page.html\n"
    text = Path("page.html").read_text("utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert {"</script><script>alert(1)</script>", "0xE9", "␛"} <= set(page("page.html")["outputs"])
    _, out, _ = run("inspect", place, "--text=a[red]\x1b\u202ea")
    assert out.splitlines()[0] == "■a[red]␛U+202Ea■"


def test_the_page_is_one_file_with_the_numbers_of_the_model(run: Run) -> None:
    status, out, _ = run(f"inspect {checkpoint()} --text cab --html page.html --temperature 0.3 --top 2")
    assert (status, out) == (0, "wrote page.html\n")
    text, content = Path("page.html").read_text("utf-8"), page("page.html")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|<link|\bsrc=|\{\{", text)
    assert content["tokens"] == ["■", "c", "a", "b"]
    assert content["targets"] == [3, 1, 2, 0]
    logits = torch.tensor(numbers(content["logits"])).view(4, 27)
    nats = -logits.double().log_softmax(1)[range(4), content["targets"]]
    assert content["nats"] == pytest.approx(nats.tolist(), abs=1e-6)
    assert content["sum"] == pytest.approx(float(nats.sum()), abs=1e-6)
    assert content["mean"] == pytest.approx(float(nats.mean()), abs=1e-6)
    assert (content["temperatures"], content["top"]) == ([0.3], 2)
    assert {path.name for path in Path().iterdir()} == {"model.ckpt", "page.html"}


def test_a_page_is_written_whole_or_not_at_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    place = checkpoint()
    Path("page.html").write_text("what was there")

    def refuse(*names: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        status, out, err = run(f"inspect {place} --text cab --html page.html")
    assert (status, out, err) == (2, "", "lightseq: page.html cannot be written: No space left on device\n")
    monkeypatch.setattr(inspect_page, "MOST_VALUES", 395)  # 4 * 27 logits, 4 * 2 * 6 values of 6 gates
    assert "a page of 396 values is too large, 395 at most" in run(f"inspect {place} --text cab --html page.html")[2]
    assert Path("page.html").read_text() == "what was there"
    assert {path.name for path in Path().iterdir()} == {"model.ckpt", "page.html"}


def test_a_backbone_without_a_trace(run: Run, plugin: Callable[..., None]) -> None:
    code = """
import torch
from lightseq.backbones import Backbone

class Memoryless(Backbone):
    '''Looks at one token.'''
    def __init__(self, input_size, hidden_size, num_layers=1, dropout=0.0):
        super().__init__(input_size)
        self.output_size, self.layer = hidden_size, torch.nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        return self.layer(x), (x.new_zeros(1, len(x), 1),)
"""
    plugin("memoryless", BACKBONES, {"memoryless": "memoryless_plugin:Memoryless"}, code)
    _, out, _ = run(f"inspect {checkpoint(backbone='memoryless')} --text cab")
    assert "this backbone has no trace" in out
    assert run("inspect model.ckpt --text cab --html page.html")[0] == 0
    assert page("page.html")["gates"] == []
    assert run("inspect model.ckpt --text cab --layer 1")[2].startswith("lightseq: this backbone has no trace")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--text=", "--text is empty: there is nothing to read"),
        (
            "--text caB",
            "character 'B' (U+0042) at position 2 of 'caB' is not among the 27 tokens the model knows; it knows 'b'",
        ),
        ("--text a --document 1", "--text and --document are two texts: give one of them"),
        (f"--text {'a' * 5001}", "--text has 5,001 tokens, and 5,000 can be looked at: cut it"),
        ("--text a --temperature=0.5,-1", "a temperature is 0 (greedy) or more, not -1"),
        ("--text a --temperature nan", "a temperature is 0 (greedy) or more, not nan"),
        ("--text a --temperature inf", "a temperature is 0 (greedy) or more, not inf"),
        ("--text a --top 0", "--top is at least 1, not 0"),
        ("--text a --layer 0", "--layer is at least 1, not 0"),
        ("--text a --layer 3", "--layer 3: the model has 2"),
        ("--document=-1", "--document is at least 0, not -1"),
        (
            "--text a --gates forgot",
            "no gate 'forgot'; did you mean 'forget'? There are: input, forget, candidate, output, cell, hidden",
        ),
        ("--text a --html none/page.html", "--html none/page.html: there is no folder 'none'"),
        ("--text a --html .", "--html names a file, and '.' is a folder: ./page.html"),
        ("--text a --label theropod", "--label theropod: model.ckpt predicts tokens, not labels"),
        (
            "",
            "there is no --text, and no document to take instead: model.ckpt does not say what it was trained on: "
            "--data.dataset names it",
        ),
        ("--document 1", "model.ckpt does not say what it was trained on: --data.dataset names it"),
        ("--text a --data.dataset dinos", "--data.dataset is for a document, and --text is given"),
        ("--txet a", "unknown argument --txet; did you mean '--text'?"),
    ],
)
def test_mistakes(run: Run, words: str, message: str) -> None:
    assert run(f"inspect {checkpoint()} {words}") == (2, "", f"lightseq: {message}\n")
    assert [path.name for path in Path().iterdir()] == ["model.ckpt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--label therapod",
            "no label 'therapod'; did you mean 'theropod'? There are: ornithischian, sauropodomorph, theropod",
        ),
        ("--label theropod,theropod", "2 labels for a text of 3 tokens: one a token, or one for the text"),
    ],
)
def test_mistakes_of_labels(run: Run, words: str, message: str) -> None:
    assert run(f"inspect {checkpoint(labels=CLADES)} --text abc {words}") == (2, "", f"lightseq: {message}\n")


def test_a_folder_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # to the superuser nothing is forbidden
    assert run("inspect model.ckpt --text a --html page.html") == (
        2,
        "",
        "lightseq: --html page.html: the folder '.' cannot be written\n",
    )

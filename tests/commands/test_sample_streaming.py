"""``lightseq sample`` on a terminal: what comes when, and that in the end it is what a pipe gets."""

import io
import os
import signal
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lightseq import cli
from lightseq.commands.streaming import Growing
from lightseq.sampling import Sample
from lightseq.vocabulary import Vocabulary

Run = Callable[..., tuple[int, str, str]]
FOLDER = "runs/dinos/version_0"


class Recorded(io.FileIO):
    """A terminal's end, with every write to it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.pieces: list[bytes] = []
        self.interrupt_at: int | None = None

    def write(self, data: object) -> int:
        self.pieces.append(bytes(data))
        if len(self.pieces) == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        return super().write(data)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Recorded, Callable[[], bytes]]]:
    """A pseudo terminal as standard output, and what reads all that it shows."""
    shown, written = os.openpty()
    tty.setraw(written)  # else it makes two bytes of a line's end
    raw = Recorded(written)
    out = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        yield raw, lambda: os.read(shown, 1 << 16)
    out.close()
    os.close(written)
    os.close(shown)


def test_a_terminal_gets_in_pieces_what_a_pipe_gets(run: Run, tiny: str, monkeypatch, capsys) -> None:
    run(f"fit --config {tiny} --sampling.every_n_steps 0")
    for words in (
        f"{FOLDER} --temperature 0.5,1.0 --prompt tri --prompt a --n 3 --length 40",
        f"{FOLDER} --n 4 --length 60 --temperature 2",
        f"{FOLDER} --n 2 --valid-bars",
    ):
        piped = run(f"sample {words}")
        with terminal(monkeypatch) as (raw, shown):
            status = cli.main(["sample", *words.split()])
            _, err = capsys.readouterr()
            assert (status, err) == (piped[0], piped[2])
            if status == 0:
                assert len(raw.pieces) > 3
                assert shown().decode() == piped[1]
            else:
                assert raw.pieces == []

    with terminal(monkeypatch) as (raw, shown):
        raw.interrupt_at = 2
        assert cli.main(["sample", FOLDER, "--prompt", "tri", "--n", "3", "--temperature", "2"]) == 130
        so_far = shown().decode()
        assert so_far.startswith("tri")
        assert so_far.endswith("\n")
        assert len(so_far) < 40


def test_a_sample_is_printed_as_it_grows_and_the_next_from_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    growing = Growing(Vocabulary(["", *"abcd"]), ["", "c"], [0.5], 2)

    def shown() -> str:
        return "|".join(capsys.readouterr())

    growing.watch([[], [], [3], [3]])
    assert shown() == "|# T=0.50 ''\n"
    growing.watch([[1], [2, 2], [4], [4, 0]])
    assert shown() == "a|"
    growing.watch([[1, 0], [2], [4], []])
    assert shown() == "a\nbbb|"
    growing.watch([[], [0], [1], []])
    assert shown() == "\ncdda|# T=0.50 'c'\n"
    texts = [("", "aa"), ("", "bbb"), ("c", "cddac"), ("c", "cd")]
    growing.finish([Sample(prompt, 0.5, number % 2, text, True) for number, (prompt, text) in enumerate(texts)])
    assert shown() == "c\ncd\n|"


@pytest.mark.parametrize("later", ["b", "\n"])
def test_what_stands_between_samples_waits_for_the_first_of_several_lines(capsys, later: str) -> None:
    vocabulary = Vocabulary(["", *"ab\n"])
    growing = Growing(vocabulary, [""], [1.0], 2)
    growing.watch([[], []])
    growing.watch([[1, 0], [1]])
    assert capsys.readouterr().out == "a"
    growing.watch([[], vocabulary.encode(later)])
    assert capsys.readouterr().out == ("" if later == "b" else "\n\na\n")
    growing.finish([Sample("", 1.0, 0, "a", True), Sample("", 1.0, 1, f"a{later}", False)])
    assert capsys.readouterr().out == ("\nab\n" if later == "b" else "\n\n")


def test_a_character_of_several_bytes_comes_whole(capsys: pytest.CaptureFixture[str]) -> None:
    text = "aé€😀b"
    vocabulary = Vocabulary([chr(value) if value < 128 else chr(0xDC00 + value) for value in range(256)])
    ids = list(text.encode())
    growing = Growing(vocabulary, [""], [1.0], 1)
    pieces = []
    for index in [*ids, 0xE2, 0x82]:
        growing.watch([[index]])
        pieces.append(capsys.readouterr().out)
    assert [piece for piece in pieces if piece] == list(text)
    growing.finish([Sample("", 1.0, 0, vocabulary.decode([*ids, 0xE2, 0x82]), False)])
    assert capsys.readouterr().out == "\ufffd\n"


def test_bytes_that_are_no_character_are_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary = Vocabulary([chr(value) if value < 128 else chr(0xDC00 + value) for value in range(256)])
    ids = [0x9F, 0x98, 0xF0, 0x9F, 0x61, 0xC3, 0xC3, 0xA9, 0xFF]
    growing = Growing(vocabulary, [""], [1.0], 1)
    for index in ids:
        growing.watch([[index]])
    assert capsys.readouterr().out == vocabulary.decode(ids)

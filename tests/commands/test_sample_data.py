"""``lightseq sample`` where it needs the dataset: --valid-bars, --novel, --save."""

import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightseq.checkpoint import find_checkpoint
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]
FOLDER = "runs/brackets/version_0"

BRACKETS = """
import itertools
import numpy as np
import torch
from lightseq.data import TextDataset
from lightseq.types import Rendering

class Balanced:
    def start(self):
        return 0
    def advance(self, state, token):
        if token == ")" and not state:
            raise ValueError("nothing is open")
        return state + (1 if token == "(" else -1)
    def allowed(self, state, left):
        return (["("] if state + 1 < left else []) + ([")"] if state else [""])

class Brackets(TextDataset):
    '''Texts of brackets.'''

    def __init__(self, path: str = "", fails: str = "") -> None:
        self.path, self.fails = path, fails

    def documents(self):
        return ["".join(text) for text in itertools.product("()", repeat=5)]

    def grammar(self, tokens):
        assert list(tokens) == ["", "(", ")"]
        return Balanced()

    def render(self, text):
        if self.fails and text.startswith(self.fails):
            raise RuntimeError("no ink")
        return Rendering(
            image=torch.full((2, 3, 3), len(text), dtype=torch.uint8),
            audio=np.array([0.0, 0.5, -1.0, 2.0], np.float32),
            sample_rate=8000,
            files={".mid": text.encode()},
            remarks=[f"line 1, column {len(text)}:\\x1b it ends"] if text.endswith("(") else [],
        )
"""


@pytest.fixture
def brackets(plugin: Callable[..., None], run: Run, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A run on brackets, trained once for all tests."""
    plugin("brackets", "lightseq.datasets", {"brackets": "brackets_plugin:Brackets"}, BRACKETS)
    kept = tmp_path_factory.getbasetemp() / "brackets-runs"
    if not kept.exists():
        assert run(f"fit --config {tiny} --data.dataset brackets --sampling.prompts [(]")[0] == 0
        shutil.copytree("runs", kept)
    shutil.copytree(kept, "runs", dirs_exist_ok=True)


@pytest.mark.usefixtures("brackets")
def test_valid_texts_only(run: Run) -> None:
    free = run(f"sample {FOLDER} --n 20 --temperature 1")
    assert free[2] == ""
    status, out, err = run(f"sample {FOLDER} --n 20 --temperature 1 --valid-bars --prompt ( --prompt ()")
    assert status == 0
    for text in out.splitlines():
        while "()" in text:
            text = text.replace("()", "")  # noqa: PLW2901
        assert text == ""
    *headings, cost = err.splitlines()
    assert headings == ["# T=1.00 '('", "# T=1.00 '()'"]
    nats, share = cost.removeprefix("--valid-bars cost ").split(" nats a character (the model gave ")
    assert share.endswith(" % of its probability to what was masked)")
    assert 100 * (1 - np.exp(-float(nats))) == pytest.approx(float(share.split()[0]), abs=0.1)
    assert 0.1 < float(nats) < 1.1  # of three nearly even tokens one or two are allowed
    short = run(f"sample {FOLDER} --n 9 --valid-bars --length 4 --prompt (")[1].splitlines()
    assert set(short) == {"()", "(())", "()()"}


@pytest.mark.usefixtures("brackets")
def test_new_texts_only_and_each_once(run: Run) -> None:
    words = f"sample {FOLDER} --temperature 1,0.9 --n 30 --length 6 --prompt ( --prompt )"
    plain = run(words)[1].splitlines()
    status, out, err = run(f"{words} --novel")
    texts = out.splitlines()
    assert status == 0
    assert len(texts) == len(set(texts)) == 120
    assert not [text for text in texts if len(text) == 5]  # all of these are documents
    assert [text for text in plain if len(text) == 5]
    assert len(set(plain)) < 120
    assert [text[0] for text in texts] == ["("] * 60 + [")"] * 60
    assert [text for text in dict.fromkeys(plain[:30]) if len(text) != 5] == [t for t in texts[:30] if t in plain[:30]]
    assert err.splitlines() == [f"# T={t} '{p}'" for p in "()" for t in ("1.00", "0.90")]
    assert run(f"{words} --novel")[1] == out


@pytest.mark.usefixtures("brackets")
def test_where_there_are_not_so_many_new_texts(run: Run) -> None:
    status, out, err = run(f"sample {FOLDER} --novel --n 9 --length 2 --temperature 1 --prompt (((")
    known = {"(((((", "(((()", "((()(", "((())"}
    assert status == 0
    assert set(out.splitlines()) == {"(((", "((((", "((()"}
    assert err == "--novel, T=1.00 '(((': 3 of 9, for the others of 1,257 drawn are no new ones\n"
    status, out, err = run(f"sample {FOLDER} --novel --n 2 --length 1 --temperature 0 --prompt (((( --prompt (((")
    assert status == 0
    assert set(out.splitlines()).isdisjoint(known)
    assert "always writes the same text, and it is" in err


@pytest.mark.usefixtures("brackets")
def test_new_and_valid_texts(run: Run) -> None:
    status, out, err = run(f"sample {FOLDER} --novel --valid-bars --n 6 --length 5")
    assert status == 0
    assert sorted(out.splitlines()) == ["", "(())", "()", "()()"]
    assert err.splitlines()[0].startswith("--novel, T=0.80 '': 4 of 6")
    assert err.splitlines()[1].startswith("--valid-bars cost 0.")


@pytest.mark.usefixtures("brackets")
def test_saved_texts_pictures_and_sounds(run: Run) -> None:
    Path("out").mkdir()
    words = f"sample {FOLDER} --n 3 --length 3 --temperature 0.5,1 --prompt ("
    status, out, err = run(f"{words} --save out")
    assert (status, out) == (0, run(words)[1])
    texts = out.splitlines()
    kinds = (".mid", ".png", ".txt", ".wav")
    names = [f"{number:04}{kind}" for number in range(1, 7) for kind in kinds]
    assert sorted(path.name for path in Path("out").iterdir()) == [*names, "samples.tsv"]
    for number, text in enumerate(texts, 1):
        assert Path(f"out/{number:04}.txt").read_text() == f"{text}\n"
        assert Path(f"out/{number:04}.mid").read_text() == text
        assert np.asarray(Image.open(f"out/{number:04}.png")).tolist() == [[[len(text)] * 3] * 3] * 2
        with wave.open(f"out/{number:04}.wav") as sound:
            assert sound.getparams()[:4] == (1, 2, 8000, 4)
            assert np.frombuffer(sound.readframes(4), "<i2").tolist() == [0, 16384, -32767, 32767]
    remarks = [f"line 1, column {len(t)}:\N{REPLACEMENT CHARACTER} it ends" if t[-1] == "(" else "" for t in texts]
    said = [f"{number:04}: {remark}" for number, remark in enumerate(remarks, 1) if remark]
    assert 0 < len(said) < 6
    last = "saved in out: 6 .mid, 6 .png, 6 .txt, 6 .wav, samples.tsv"
    assert err.splitlines() == ["# T=0.50 '('", "# T=1.00 '('", *said, last]
    header, *records = (line.split("\t") for line in Path("out/samples.tsv").read_text().splitlines())
    assert header == ["number", "prompt", "temperature", "ended", "files", "remarks"]
    assert [record[0] for record in records] == [f"{number:04}" for number in range(1, 7)]
    assert [record[2] for record in records] == ["0.5"] * 3 + ["1"] * 3
    assert [record[3] for record in records] == ["yes" if len(text) < 4 else "no" for text in texts]
    assert records[4][4] == "0005.mid 0005.png 0005.txt 0005.wav"
    assert [record[5] for record in records] == remarks


@pytest.mark.usefixtures("brackets")
def test_a_renderer_that_raises_is_one_note(run: Run) -> None:
    words = f"sample {FOLDER} --n 20 --length 3 --temperature 1 --save out --data.dataset_args.fails ()"
    status, out, err = run(words)
    failed = [number for number, text in enumerate(out.splitlines(), 1) if text.startswith("()")]
    assert status == 0
    assert 1 < len(failed) < 20
    assert err.splitlines()[-2] == (
        f"lightseq: {failed[0]:04}: dataset 'brackets' is broken: Brackets.render() raises RuntimeError: no ink "
        f"(and {len(failed) - 1} more); the text is saved"
    )
    kept = 20 - len(failed)
    assert err.splitlines()[-1] == f"saved in out: {kept} .mid, {kept} .png, 20 .txt, {kept} .wav, samples.tsv"
    assert not any(Path("out").glob(f"{failed[0]:04}.[!t]*"))


@pytest.mark.usefixtures("brackets")
def test_a_dataset_that_is_gone_or_names_a_place_leaves_the_texts(run: Run, monkeypatch, tiny: str) -> None:
    run(f"fit --config {tiny} --data.dataset brackets --data.dataset_args.path there --sampling.prompts [(]")
    bare = Path("bare.ckpt")
    bare.write_bytes(find_checkpoint("runs/brackets/version_1").read_bytes())
    status, _, err = run(f"sample {bare} --save alone")
    assert status == 0
    note, last = err.splitlines()
    assert note.endswith("type --data.dataset_args.path 'there'; the texts alone are saved")
    assert last == "saved in alone: 5 .txt, samples.tsv"
    assert run(f"sample {bare} --novel") == (2, "", f"{note.removesuffix('; the texts alone are saved')}\n")
    assert run(f"sample {bare} --novel --data.dataset_args.path there")[0] == 0
    here = Path().absolute()
    monkeypatch.undo()
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(here / "cache"))
    monkeypatch.chdir(here)
    status, _, err = run(f"sample {FOLDER} --save gone")
    assert status == 0
    assert "no dataset called 'brackets'" in err.splitlines()[0]
    assert err.splitlines()[1] == "saved in gone: 5 .txt, samples.tsv"


def test_a_dataset_without_more(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    folder = "runs/dinos/version_0"
    status, out, err = run(f"sample {folder} --save new/out")
    assert status == 0
    assert err == ("dataset 'dinos' renders neither picture nor sound\nsaved in new/out: 5 .txt, samples.tsv\n")
    assert [Path(f"new/out/000{i}.txt").read_text().strip() for i in range(1, 6)] == out.splitlines()
    for words, message in {
        "--save new": "--save new: the folder is not empty; name a new one",
        "--save tiny.txt": "tiny.txt is no folder; name a new one",
        "--save tiny.txt/deeper": "tiny.txt is no folder; name a new one",
        "--save out --prompt Tri": "character 'T'",
        "--valid-bars": "--valid-bars: dataset 'dinos' has no grammar, which would say what a valid text is",
        "--novel --n 0": "n is at least 1, not 0",
        "--novel --seed -1": "a seed is between 0 and 2**63 - 1, not -1",
        "--temperature nan": "a temperature is 0 (greedy) or more, not nan",
        "--valid-bars --length 0": "has no grammar",
        "--length 0": "length is at least 1, not 0",
        "--data.dataset_args.source course": "--data.dataset_args.source is for --valid-bars, --novel and --save",
        "--novel --data.dataset_args.sorce course": "'dinos' has no argument 'sorce'; did you mean 'source'?",
        "--save out --data.dataset_args.sorce course": "'dinos' has no argument 'sorce'; did you mean 'source'?",
        "--novel --data.dataset": "--data.dataset needs a value",
    }.items():
        Path("tiny.txt").write_text("a file")
        status, out, err = run(f"sample {folder} {words}")
        assert (status, len(err.splitlines())) == (2, 1), words
        assert message in err
        assert out == ""
        assert sorted(path.name for path in Path().iterdir()) == ["new", "runs", "tiny.txt"]


def test_a_disk_that_refuses_leaves_nothing(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(f"fit --config {tiny}")
    written: list[Path] = []
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    for there in (False, True):
        written.clear()
        status, out, err = run("sample runs/dinos/version_0 --save out")
        assert (status, len(out.splitlines())) == (2, 5)
        assert err == "lightseq: --save out: No space left on device\n"
        assert len(written) == 3
        assert Path("out").exists() == there
        Path("out").mkdir(exist_ok=True)
        assert list(Path("out").iterdir()) == []


def test_files_that_came_meanwhile_are_left_alone() -> None:
    from lightseq.commands.saving import save
    from lightseq.sampling import Sample

    there = Path("0001.txt")
    there.write_text("another's")
    with pytest.raises(UserError, match="the folder is not empty"):
        save([Sample("", 1.0, 0, "ours", ended=True)], Path(), None)
    assert there.read_text() == "another's"


def test_a_stream_has_neither_documents_nor_valid_texts(run: Run, tiny: str, alphabet: str) -> None:
    run(f"fit --config {tiny} --data.dataset {alphabet} --data.window 8")
    folder = "runs/alphabet/version_0"
    message = "--novel: dataset 'alphabet' is one stream, there are no documents to compare with"
    assert run(f"sample {folder} --novel") == (2, "", f"lightseq: {message}\n")
    assert "dataset 'alphabet' has no grammar" in run(f"sample {folder} --valid-bars")[2]

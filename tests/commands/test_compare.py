"""``lightseq compare``, typed as a user would."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq.commands.side_by_side import differences, shared_folder

Run = Callable[..., tuple[int, str, str]]

CONFIG = """
data: {dataset: dinos, dataset_args: null}
model: {backbone: lstm, dropout: 0.5}
sampling: {temperatures: [0.0, 1.0]}
"""


def sample(text: str, temperature: float = 0.8, prompt: str = "", step: int = 20, number: int = 0) -> str:
    return json.dumps({"step": step, "prompt": prompt, "temperature": temperature, "number": number, "text": text})


def run_folder(name: str, loss: float, samples: list[str], config: str = CONFIG) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "results.json").write_text(json.dumps({"val/loss": loss, "step": 12, "seconds": 3.25}))
    (folder / "samples.jsonl").write_text("".join(f"{line}\n" for line in samples))
    return folder


@pytest.fixture
def two(own_folder: Path) -> str:
    """Two runs that differ in the backbone."""
    old, other = sample("old", step=10), sample("a prompt of its own", prompt="x")
    run_folder("runs/dinos/version_0", 1.58523, [old, sample("X:1\nK:D [bold]\x1b[31m"), sample("greedy", 0.0)])
    run_folder(
        "runs/dinos/version_1", 1.6, [sample("X:2\nK:G"), sample("cold", 0.0), other], CONFIG.replace("lstm", "gru")
    )
    return "compare runs/dinos/version_0 runs/dinos/version_1/"


def test_numbers_settings_and_the_last_samples_side_by_side(two: str, run: Run) -> None:
    status, out, err = run(two)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    words = [line.split() for line in lines]
    assert lines[0] == "in runs/dinos:"
    assert ["version_0", "version_1"] in words
    assert ["val/loss", "1.5852", "1.6000"] in words
    assert ["step", "12", "12"] in words
    assert ["seconds", "3.2", "3.2"] in words
    assert ["model.backbone", "lstm", "gru"] in words
    assert "dropout" not in out
    assert "temperatures" not in out
    assert ["0.00", "│", "greedy", "│", "cold"] in words
    assert ["0.80", "│", "X:1", "│", "X:2"] in words
    assert ["│", "K:D", "[bold]\N{REPLACEMENT CHARACTER}[31m", "│", "K:G"] in words
    assert "old" not in {word for line in words for word in line}
    assert "of its own" not in out
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line != line.rstrip()]


def test_what_is_missing_or_damaged_is_a_note(two: str, run: Run) -> None:
    other = Path("runs/dinos/version_1")
    (other / "results.json").write_text('{"val/loss": 1.6')
    samples = (other / "samples.jsonl").read_text()
    (other / "samples.jsonl").write_text(samples + '[1]\n{"step": Infinity}\n{"step": 30, "prom')
    (other / "config.yaml").unlink()
    status, out, err = run(two)
    assert (status, err) == (0, "")
    assert ["val/loss", "1.5852"] in [line.split() for line in out.splitlines()]
    assert "X:2" in out
    assert "settings that differ" not in out
    notes = [line for line in out.splitlines() if line.startswith("note  ")]
    assert [note.partition(": ")[0] for note in notes] == [
        "note  runs/dinos/version_1 has no config.yaml",
        "note  runs/dinos/version_1/results.json cannot be read",
        "note  3 lines of runs/dinos/version_1/samples.jsonl cannot be read, and are left out",
    ]


@pytest.mark.parametrize(
    ("name", "content"), [("results.json", "[1]"), ("results.json", b"\xff"), ("config.yaml", "a: [")]
)
def test_a_damaged_file_leaves_the_rest(two: str, name: str, content: str | bytes, run: Run) -> None:
    (Path("runs/dinos/version_1") / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    status, out, _ = run(two)
    assert status == 0
    assert f"note  runs/dinos/version_1/{name} cannot be read: " in out
    assert "cold" in out


def test_runs_of_different_data_and_with_nothing_in_common(two: str, run: Run) -> None:
    run_folder("runs/names/version_0", 2.0, [sample("mia", 0.7)], CONFIG.replace("dinos", "names"))
    _, out, _ = run(two.replace("dinos/version_1/", "names/version_0"))
    assert "what is scored is not the same (data.dataset differs): losses do not compare, the rest does" in out
    assert ["dinos/", "names/"] in [line.split() for line in out.splitlines()]
    assert "no prompt and temperature was shown by two of the runs" in out
    assert "what is scored" not in run(two)[1]


def test_three_runs_one_without_samples(two: str, run: Run) -> None:
    (run_folder("runs/dinos/version_2", 1.7, []) / "samples.jsonl").unlink()
    _, out, _ = run(f"{two} runs/dinos/version_2")
    words = [line.split() for line in out.splitlines()]
    assert ["val/loss", "1.5852", "1.6000", "1.7000"] in words
    assert ["model.backbone", "lstm", "gru", "lstm"] in words
    assert ["0.00", "│", "greedy", "│", "cold"] in words
    assert "note  runs/dinos/version_2 has no samples.jsonl" in out


def test_equal_settings(run: Run) -> None:
    for version in (0, 1):
        run_folder(f"runs/dinos/version_{version}", 1.5, [sample("a")])
    assert "no setting differs" in run("compare runs/dinos/version_0 runs/dinos/version_1")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("runs/dinos/version_0", "compare takes two runs at least, and 'runs/dinos/version_0' is one"),
        (
            "runs/dinos/version_0 runs/dinos/version_0/",
            "compare takes two runs at least, and 'runs/dinos/version_0' is one",
        ),
        (
            "runs/dinos/version_0 runs/dino/version_0",
            "no folder 'runs/dino/version_0'; did you mean runs/dinos/version_0?",
        ),
        ("runs/dinos runs/dinos/version_1", "no run in 'runs/dinos'; did you mean runs/dinos/version_1?"),
    ],
)
def test_mistakes(two: str, words: str, message: str, run: Run) -> None:
    assert run(f"compare {words}") == (2, "", f"lightseq: {message}\n")


def test_a_run_under_two_paths_is_one(two: str, run: Run) -> None:
    message = "lightseq: compare takes two runs at least, and 'runs/dinos/version_0' is one\n"
    assert run(f"compare {Path('runs/dinos/version_0').absolute()} runs/dinos/version_0") == (2, "", message)


def test_it_imports_nothing_heavy(two: str) -> None:
    code = (
        f"import sys; from lightseq.cli import main; status = main({two.split()!r})\n"
        "heavy = {'torch', 'pytorch_lightning', 'numpy', 'tensorboard'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_differences() -> None:
    first, second = {"a.x": 1, "b": None, "a.y": [1, 2], "c": "s"}, {"c": "s", "a.x": 1.5, "a.z": True}
    assert differences([first, second]) == {"a.x": ["1", "1.5"], "a.y": ["[1, 2]", "-"], "a.z": ["-", "true"]}


def test_the_shared_folder(own_folder: Path) -> None:
    assert shared_folder(["runs/a/version_0", "runs/b/version_0"]) == ("runs", ["a/version_0", "b/version_0"])
    outside = str(own_folder.parent / "x" / "version_1")
    assert shared_folder([outside, f"{outside}/inner"]) == (
        str(own_folder.parent / "x"),
        ["version_1", "version_1/inner"],
    )
    assert shared_folder(["..runs/a/version_0", "..runs/b/version_0"])[0] == "..runs"

"""The wheel holds what it should, and the README's commands are the real ones."""

import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from a copy of the tracked files."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    words = ["build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "source")]
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as file:
        return set(file.namelist())


def test_the_wheel_holds_the_mapped_folders_and_nothing_else(wheel: set[str]) -> None:
    assert {
        *(
            "lightseq/py.typed",
            "lightseq/commands/train.py",
            "lightseq/backbones/recurrent.py",
            "lightseq/data/store.py",
        ),
        *("lightseq/datasets/dinos.py", "lightseq/datasets/dinos.tsv", "lightseq/callbacks/sample_text.py"),
        "lightseq/configs/dinos.yaml",
        *(f"lightseq/commands/inspect.{kind}" for kind in ("html", "css", "js")),
        "lightseq/datasets/abc/reader.py",
    } <= wheel
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"lightseq", "lightseq_rnn"}
    assert not [name for name in wheel if "test_" in name or "bench" in name]
    for folder, mapped in (
        ("lightseq", "lightseq"),
        ("datasets", "lightseq/datasets"),
        ("callbacks", "lightseq/callbacks"),
    ):
        sources = {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).rglob("*.py")}
        assert {f"{mapped}/{source}" for source in sources} <= wheel


def commands() -> list[str]:
    """Every line of the README's code blocks that calls lightseq, without its comment."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.strip().partition("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.rpartition("&& ")[2] for line in lines if line.rpartition("&& ")[2].startswith("lightseq ")]


def test_the_two_commands_stand_in_the_readme() -> None:
    assert "\npip install -e . && lightseq fit --config configs/dinos.yaml\n" in README
    assert '\npip install -e ".[dev]" && pytest\n' in README
    script = (ROOT / ".ci" / "run").read_text()
    assert 'pip install --quiet -e ".[dev]" && pytest' in script
    assert len(commands()) >= 10


def test_the_readmes_commands_run(run: Run, tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In order, in one folder; the training ones for three updates. The board, which stays, has tests of its own."""
    Path("configs").symlink_to(ROOT / "configs")
    run(f"fit --config {tiny} --trainer.max_steps 3")
    best = next(Path("runs/dinos/version_0/checkpoints").glob("best-*"))
    Path("model.ckpt").write_bytes(best.read_bytes())
    numbers = range(99)
    Path("my.txt").write_text("".join(f"text {number}\n" for number in numbers))
    Path("reviews.tsv").write_text("".join(f"text {number}\t{'odd' if number % 2 else 'even'}\n" for number in numbers))
    Path("sentences.conll").write_text("".join(f"text\tnoun\n{number}\tnumber\n\n" for number in numbers))
    for command in commands():
        words = command.removeprefix("lightseq ").partition(" > ")[0]
        if (
            "seashells/" in words or words.startswith("board") or "trainer/" in words
        ):  # tests/test_devices.py runs those
            continue
        if words.startswith("fit --resume"):
            Path("runs/dinos/version_0/results.json").unlink()  # as if it had been stopped before its end
        if words.startswith("verify-resume"):
            words += " --updates 4 --stop 2 --trainer.limit_val_batches 2 --trainer.accelerator cpu"
        words = words.replace("--seeds 5", "--seeds 2")
        if words.startswith(("fit --config", "sweep ")):
            words += f" --trainer.max_steps {6 if '--ckpt_path' in words else 3} --trainer.accelerator cpu"
            words += " --trainer.limit_val_batches 2 --inside.enabled false --sampling.judged 0"  # these take seconds
        try:
            status = cli.main(shlex.split(words, comments=True))
        except SystemExit as done:
            status = done.code
        assert status == 0, f"{command}: {capsys.readouterr().err}"


def test_the_readmes_dataset_trains(run: Run) -> None:
    (code,) = re.findall(r"```python\n# my_colours.py\n(.*?)```", README, re.DOTALL)
    (command,) = re.findall(r"`lightseq (fit --config dinos --data.dataset \./my_colours.py:Colours [^`]*)`", README)
    Path("my_colours.py").write_text(code)
    Path("colours.txt").write_text("\n".join(["red", "green", "grey", "blue", "black", "white", "pink"]))
    status, out, err = run(f"{command} --trainer.max_steps 3 --trainer.accelerator cpu")
    assert status == 0, err
    assert "'gr': gr" in out


@pytest.mark.parametrize("recipe", ["dinos", "names", "shakespeare", "shakespeare_best", "abc", "dino_clades"])
def test_the_readmes_numbers_are_those_of_the_recipe(recipe: str) -> None:
    head = (ROOT / "configs" / f"{recipe}.yaml").read_text().splitlines()[0]
    row = next(line for line in README.splitlines() if line.startswith(f"| `{recipe}` |"))
    seconds, validation = (cell.split()[0].strip(",") for cell in row.split("|")[3:5])
    assert (f"{seconds} seconds" if int(seconds) < 300 else f"{int(seconds) / 60:.0f} minutes") in head
    assert f"{validation} nats" in head
    assert recipe != "dinos" or f"it takes {seconds} seconds" in README


def test_every_file_of_the_map_exists() -> None:
    (block,) = re.findall(r"## Where things are\n\n```\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines():
        match = re.match(r"(  )?([\w/.]+)  ", line)
        if match and line[:3].strip():
            assert (ROOT / ("lightseq" if match[1] else "") / match[2]).exists(), line

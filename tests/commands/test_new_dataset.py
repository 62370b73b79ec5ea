"""``lightseq datasets new`` and ``check``, typed as a user would."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq.commands import new_dataset
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]


def test_what_it_writes_installs_passes_its_test_and_trains(run: Run, tmp_path: Path, monkeypatch) -> None:
    status, out, err = run("datasets new sea_shells")
    assert status == 0, err
    assert "  pip install -e ./sea_shells\n  pytest ./sea_shells\n" in out
    written = {str(path.relative_to("sea_shells")) for path in Path("sea_shells").rglob("*") if path.is_file()}
    assert written == set(new_dataset.files("sea_shells"))
    site = tmp_path / "site"
    words = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    done = subprocess.run([sys.executable, "-m", *words, "./sea_shells"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = [sys.executable, "-m", "pytest", "-q", "-W", "error::UserWarning", "sea_shells"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    (row,) = [line for line in run("datasets --load")[1].splitlines() if line.startswith("sea_shells ")]
    assert row.split()[1:4] == ["lightseq-sea-shells", "0.1.0", "lightseq_sea_shells:SeaShells"]
    assert row.endswith("  documents: Numbers in words, one document each.")
    for command in re.findall("^  lightseq (.*)$", out, re.MULTILINE):
        status, own, err = run(command + " --trainer.max_steps 3 --trainer.accelerator cpu" * ("fit" in command))
        assert status == 0, err
    assert "'forty': forty" in own
    assert Path("runs/sea_shells/version_0/config.yaml").exists()
    sys.modules.pop("lightseq_sea_shells")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "SeaShells",
            "'SeaShells' is no name for a dataset: small letters, digits and _, a letter first, 'seashells' say",
        ),
        ("sea-shells", "a letter first, 'sea_shells' say"),
        ("3seas", "a letter first, 'seas' say"),
        ("../seas", "a letter first, 'seas' say"),
        ("true", "'true' is no name for a dataset: small letters, digits and _, a letter first\n"),
        ("_", "'_' is no name for a dataset: small letters, digits and _, a letter first\n"),
        ("dinos", "the name 'dinos' is taken, by the installed lightseq-rnn: choose another"),
        ("rnn", "the name 'rnn' is taken, by the installed lightseq-rnn: choose another"),
        ("there", "there exists already: choose another name, or another --folder"),
        ("seas --folder nowhere", "nowhere/seas cannot be written (No such file or directory)"),
        ("seas --folder there/file", "there/file/seas cannot be written (Not a directory)"),
        ("seas --flder x", "unknown argument --flder; did you mean '--folder'?"),
        ("", "the following arguments are required: NAME"),
    ],
)
def test_a_name_or_a_place_that_will_not_do(words: str, message: str, run: Run) -> None:
    Path("there").mkdir()
    Path("there/file").touch()
    status, out, err = run(f"datasets new {words}")
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert sorted(map(str, Path().rglob("*"))) == ["there", "there/file"]


def test_another_folder(run: Run) -> None:
    Path("work").mkdir()
    status, out, err = run("datasets new seas --folder work")
    assert status == 0, err
    assert "  pip install -e work/seas\n" in out
    assert "  lightseq fit --config work/seas/seas.yaml\n" in out
    assert [path.name for path in Path("work").iterdir()] == ["seas"]


def test_all_or_nothing() -> None:
    with pytest.raises(UserError, match=r"seas cannot be written \((Not a directory|File exists)\)"):
        new_dataset.write({"one": "1", "one/two": "2"}, Path("seas"))
    assert list(Path().iterdir()) == []


OWN = """
from lightseq.data import TextDataset

class Own(TextDataset):
    def __init__(self, path: str, batch: int = 3) -> None:
        self.path, self.batch = path, batch

    def documents(self):
        return open(self.path).read().split() * self.batch
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("lightseq.registry.ALLOWED", set())
    Path("own_file.py").write_text(OWN.replace("open(self.path).read()", "'red green blue grey pink black'"))
    return "./own_file.py:Own"


def test_check_tells_settings_from_arguments(own: str, run: Run) -> None:
    status, out, err = run(
        f"datasets check {own} --path=x --batch 2 --batch_size 4 --val_fraction=0.34 --test_fraction 0"
    )
    assert status == 0, err
    assert "12 documents" in out
    assert "4 documents a batch" in out
    sys.modules.pop("own_file")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: NAME"),
        ("dnios", "no dataset called 'dnios'; did you mean 'dinos'?"),
        ("dinos --surce x", "'dinos' has no argument 'surce'; did you mean 'source'?"),
        ("dinos --batch_size 0", "argument of 'data': batch_size must be >0, not 0"),
        ("dinos --batch_size many", "argument of 'data': batch_size must be a whole number, not 'many'"),
        ("dinos --fold 10", "data.fold 10: a val_fraction of 0.1 has 10 folds"),
        ("dinos --seed 3", "'dinos' has no argument 'seed'"),
        ("dinos --source", "--source needs a value"),
        ("dinos stray", "'stray' stands alone: an argument is --name value"),
        ("./nope.py:Own", "no file at './nope.py'"),
    ],
)
def test_mistakes_of_check(words: str, message: str, run: Run) -> None:
    status, out, err = run(f"datasets check {words}")
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize("words", ["datasets", "datasets new", "datasets check", "datasets check dinos"])
def test_help(words: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(f"{words} --help")
    assert caught.value.code == 0
    assert f"usage: lightseq {words.removesuffix(' dinos')}" in capsys.readouterr().out


def test_another_word(run: Run) -> None:
    assert run("datasets chekc dinos")[2] == (
        "lightseq: no 'lightseq datasets chekc'; did you mean 'check'? There are: new, check\n"
    )


def test_the_list_imports_nothing_heavy() -> None:
    code = "import sys; from lightseq import cli; cli.main(['datasets']); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"

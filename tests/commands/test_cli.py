import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--help",
        "--version",
        "datasets",
        "configs",
        "configs dinos",
        "sample --help",
        "inspect --help",
        "sweep --help",
        "board --help",
        "compare --help",
    ],
)
def test_what_only_lists_imports_nothing_heavy(words: str) -> None:
    code = (
        "import sys; from lightseq.cli import main\n"
        f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'pytorch_lightning', 'numpy', 'jsonargparse', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "lightseq", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == version("lightseq-rnn")
    done = subprocess.run([sys.executable, "-m", "lightseq", "ft"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lightseq: no verb 'ft'; did you mean 'fit'?")


def test_a_pipe_that_closes_early() -> None:
    code = "import sys; from lightseq.cli import main; sys.exit(main(['configs', 'dinos']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_configs_lists_and_prints(run: Run) -> None:
    status, out, _ = run("configs")
    head = files("lightseq.configs").joinpath("dinos.yaml").read_text().splitlines()[0].removeprefix("# ")
    assert status == 0
    assert ["dinos", head] in [line.split(maxsplit=1) for line in out.splitlines()]
    assert run("configs dinos")[1] == files("lightseq.configs").joinpath("dinos.yaml").read_text()


def test_datasets_lists(run: Run) -> None:
    _, out, _ = run("datasets")
    row = ["dinos", "lightseq-rnn", version("lightseq-rnn"), "lightseq.datasets.dinos:Dinos"]
    assert row in [line.split() for line in out.splitlines()]
    assert "documents: Genus names of dinosaurs" in run("datasets --load")[1]

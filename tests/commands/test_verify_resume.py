"""``lightseq verify-resume``, typed as a user would."""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch

from lightseq.commands.bit_equality import Run as Found
from lightseq.commands.bit_equality import compare, read_run, same

VERB = [sys.executable, "-m", "lightseq", "verify-resume"]

Run = Callable[..., tuple[int, str, str]]

LEAKY = """
from torch import nn
from lightseq.backbones import Backbone

class Leaky(Backbone):
    '''An Elman network that remembers more than its state says.'''

    def __init__(self, input_size, hidden_size, num_layers, dropout):
        super().__init__(input_size)
        self.output_size = hidden_size
        self.cell = nn.RNN(input_size, hidden_size, batch_first=True)
        self.memory = 0.0

    def forward(self, x, state=None):
        y, last = self.cell(x, *(state or ()))
        if self.training:
            self.memory = 0.5 * self.memory + float(y.detach().mean())
        return y + self.memory, (last,)
"""

ODD = """
import os
import threading
from pathlib import Path
from pytorch_lightning import Callback

class Counts(Callback):
    '''Saves what it does not take back.'''

    batches = 0

    def on_train_batch_end(self, *_):
        self.batches += 1

    def state_dict(self):
        return {"batches": self.batches, "seconds": os.getpid()}

class Raises(Callback):
    def on_train_start(self, *_):
        raise RuntimeError("I dislike this")

class Waits(Callback):
    def on_train_start(self, *_):
        Path("training").write_text(f"{os.getpid()} {os.getppid()}")
        threading.Event().wait(60)  # not for ever, should nothing stop it
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def odd(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Callbacks for the processes that are started from here."""
    (own_folder.parent / "odd.py").write_text(ODD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(own_folder.parent), *sys.path]))
    return "--trainer.callbacks+=odd."


def rows(out: str) -> dict[str, tuple[str, str]]:
    """By its name what a row says."""
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    return {line[2:20].rstrip(): (line[22:29].rstrip(), line[31:]) for line in lines}


def test_documents_with_dropout_and_averaged_weights(run: Run, tiny: str) -> None:
    """An epoch ends with update 17, and so the stop moves away from there."""
    words = "--model.num_layers 2 --model.dropout 0.4 --averaging.decay 0.9 --data.window 8 --data.batch_size 128"
    status, out, err = run(f"verify-resume --keep kept --config {tiny} {words}")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "dinos: 40 updates at once, and 16 + 24 with a stop between, in 32-true on 1 process",
        "  weights             equal    11 tensors",
        "  averaged weights    equal    12 tensors",
        "  optimiser           equal    33 tensors",
        "  schedule            equal",
        "  position            equal    epoch 2, batch 6",
        "  hidden states       equal    2 tensors",
        "  random numbers      equal    3 tensors",
        "  other               equal    6 tensors",
        "  train/loss          equal    40 values",
        "  val/*               equal    15 values",
        "a stopped run goes on bit for bit",
    ]
    assert [path.name for path in Path("kept/stopped/dinos").iterdir()] == ["version_0"]
    assert "best, after update 40" in Path("kept/resumed.out").read_text()

    found = read_run(Path("kept/stopped/dinos/version_0"), Path("kept/stopped"))
    assert {row.verdict for row in compare(found, found, 16)} == {"equal"}
    for others, said in (([], "nothing"), (["4", "16"], "4 and 16")):  # begun anew, stopped more often
        *equal, last = compare(found, found._replace(went_on=others), 16)
        assert {row.verdict for row in equal} == {"equal"}
        assert last == ("went on", "DIFFERS", f"after {said}, and not 16")
    status, out, err = run("verify-resume --keep kept")
    assert (status, out, err) == (2, "", "lightseq: --keep kept: the folder is not empty; name a new one\n")


def test_a_stream_on_two_processes_that_stop_where_an_epoch_ends(
    alphabet: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    words = f"--config {tiny} --data.dataset {alphabet} --data.batch_size 4 --data.window 16 --trainer.devices 2"
    command = ["timeout", "-k", "5", "300", *VERB, "--updates=20", "--stop=17", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    head, *_, foot = done.stdout.splitlines()
    assert head == "alphabet: 20 updates at once, and 17 + 3 with a stop between, in 32-true on 2 processes"
    assert foot == "a stopped run goes on bit for bit"
    found = rows(done.stdout)
    assert found.pop("averaged weights") == ("-", "")
    assert {verdict for verdict, _ in found.values()} == {"equal"}
    assert found["position"][1] == "epoch 1, batch 3"
    assert found["hidden states"][1] == "4 tensors"  # h and c of each process
    assert found["val/*"][1] == "16 values"


def test_what_a_plugin_keeps_to_itself_is_found(
    run: Run, tiny: str, plugin: Callable[..., None], odd: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("leaky", "lightseq.backbones", {"leaky": "leaky_plugin:Leaky"}, LEAKY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], *sys.path]))
    status, out, err = run(f"verify-resume --updates 7 --stop 4 --config {tiny} --model.backbone leaky {odd}Counts")
    assert (status, err) == (1, "")
    assert out.endswith("\na resumed run is another one: see DIFFERS above\n")
    found = rows(out)
    names = {name for name, (verdict, _) in found.items() if verdict == "DIFFERS"}
    assert names == {"weights", "optimiser", "hidden states", "other", "train/loss", "val/*"}
    weights = (
        r"state_dict/model.embedding.weight\[\d, \d\]: \S+ at once, \S+ resumed, largest difference \S+; 7 of 7 entries"
    )
    assert re.fullmatch(weights, found["weights"][1])
    assert found["other"][1].startswith("callbacks/Counts/batches: 7 at once, 3 resumed; ")
    assert found["train/loss"][1].startswith("train/loss of update 5: ")
    assert found["train/loss"][1].endswith("; 3 of 7 values")
    assert found["position"] == ("equal", "epoch 0, batch 7")
    assert list(scratch.iterdir()) == []


def test_a_fit_that_fails(run: Run, tiny: str, odd: str, scratch: Path) -> None:
    status, out, err = run(f"verify-resume --config {tiny} {odd}Raises")
    assert (status, out) == (1, "")
    assert "RuntimeError: I dislike this" in err
    assert err.endswith("\nlightseq: the whole run ended with status 1, not 0\n")
    assert list(scratch.iterdir()) == []


def test_what_stops_it_stops_the_fit(tiny: str, odd: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(scratch))
    os.mkfifo("training")
    training = os.open("training", os.O_RDONLY | os.O_NONBLOCK)
    words = ["timeout", "-k", "5", "120", *VERB, "--config", tiny, f"{odd}Waits"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert select.select([training], [], [], 100)[0]
        fit, verb = map(int, os.read(training, 100).split())
        assert len(list(scratch.glob("lightseq-verify-resume-*/whole.out"))) == 1
        os.kill(verb, signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (143, "", "")
    assert not Path(f"/proc/{fit}").exists()
    assert not list(scratch.glob("lightseq-verify-resume-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--updates 1", "--updates must be >=2, to stop between two of them, not 1"),
        ("--stop 40", "--stop must be >=1 and below the 40 of --updates, not 40"),
        ("--updates 5 --stop 0", "--stop must be >=1 and below the 5 of --updates, not 0"),
        ("--updates many", "argument --updates: invalid int value: 'many'"),
        ("--trainer.max_steps 40", "verify-resume sets --trainer.max_steps itself: leave it out"),
        ("--resume=auto", "verify-resume sets --resume itself: leave it out"),
        ("--config again.yaml", "again.yaml, line 1: verify-resume begins with a fresh run: leave ckpt_path out"),
        ("--config nosuch.yaml", "no configuration file 'nosuch.yaml', and no recipe of that name. Shipped: "),
        ("--keep again.yaml", "--keep again.yaml: File exists"),
        ("--config {tiny} --model.hidden_size 0", "command line: model.hidden_size must be >0, not 0"),
        (
            "--stop 3 --config {tiny} --data.batch_size 512 --trainer.max_epochs 1",
            "the run has come to its end after 3 updates: --stop must be below that",
        ),
    ],
)
def test_mistakes(run: Run, tiny: str, words: str, message: str) -> None:
    Path("again.yaml").write_text("ckpt_path: runs/dinos/version_0\n")
    status, out, err = run(f"verify-resume {words.format(tiny=tiny)}")
    assert (status, out) == (2, "")
    assert err.startswith(f"lightseq: {message}")
    assert len(err.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["again.yaml"]


def found(leaves: dict[tuple[str, ...], Any], losses: dict[str, dict[int, list[float]]]) -> Found:
    return Found({}, leaves, losses, [])


def test_what_differs_is_told() -> None:
    """Down to the last bit: zeros have a sign, and a NaN is its own equal."""
    weight, key = torch.tensor([[1.0, nan, 0.0], [2.0, 3.0, 5.0]]), ("state_dict", "weight")
    whole = found(
        {
            key: weight,
            ("averaging_state", "n"): 2,
            ("lr_schedulers", "0", "rate"): 0.3,
            ("epoch",): 1,
            ("own", "a"): [],
        },
        {"train/loss": {1: [nan], 2: [2.5], 3: [2.0]}, "val/bpc": {3: [4.0]}, "val/loss": {2: [1.5], 3: [1.25]}},
    )
    other = weight.clone()
    other[0, 2], other[1, 1] = -0.0, 3.5
    resumed = found(
        {
            key: other,
            ("averaging_state", "n"): 2,
            ("lr_schedulers", "0", "rate"): 0.1 + 0.2,
            ("epoch",): True,
            ("own", "b"): 0,
        },
        {"train/loss": {1: [nan], 2: [2.5, 2.0], 4: [2.0]}, "val/bpc": {3: [4.0]}, "val/loss": {2: [1.0], 3: [nan]}},
    )
    assert compare(whole, whole) == [
        ("weights", "-", ""),
        ("averaged weights", "equal", "1 tensor"),
        ("optimiser", "-", ""),
        ("schedule", "equal", ""),
        ("position", "equal", ""),
        ("hidden states", "-", ""),
        ("random numbers", "-", ""),
        ("other", "equal", ""),
        ("train/loss", "equal", "3 values"),
        ("val/*", "equal", "3 values"),
    ]
    differing = {row.name: row.detail for row in compare(whole, resumed) if row.verdict == "DIFFERS"}
    assert differing == {
        "averaged weights": "state_dict/weight[0, 2]: 0 at once, -0 resumed, largest difference 0.5; 1 of 2 entries",
        "schedule": "lr_schedulers/0/rate: 0.29999999999999999 at once, 0.30000000000000004 resumed",
        "position": "epoch: 1 at once, True resumed",
        "other": "own/a: only in the whole run's checkpoint; 2 of 2 entries",
        "train/loss": "train/loss of update 2: 2.5 at once, 2.5 and 2 resumed, largest difference 0.5; 3 of 4 values",
        "val/*": "val/loss of update 2: 1.5 at once, 1 resumed, largest difference nan; 2 of 3 values",
    }


def test_equal_tensors_have_one_dtype_and_shape() -> None:
    assert same(torch.tensor(nan), torch.tensor(nan))
    assert same(torch.ones(3, 4).T, torch.ones(4, 3))
    assert not same(torch.ones(3), torch.ones(3, dtype=torch.float64))
    assert not same(torch.ones(3, 4), torch.ones(4, 3))
    assert not same(torch.tensor(1), 1)

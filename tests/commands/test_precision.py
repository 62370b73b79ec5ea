from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
import yaml

from lightseq.backbones.recurrent import GRU
from lightseq.commands import precision
from lightseq.model import SequenceModel, build_model

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(precision.VARIABLE)


@pytest.fixture(autouse=True)
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with bfloat16: what is timed is said by the tests."""
    monkeypatch.setattr(precision, "has_bfloat16_lstm", lambda: True)


def small() -> SequenceModel:
    return build_model(
        vocabulary=list("abcde"),
        labels=None,
        backbone="lstm",
        backbone_args=None,
        embedding_size=3,
        hidden_size=4,
        num_layers=1,
        dropout=0.5,
        tie_head=False,
    )


@pytest.mark.parametrize(("slower", "choice"), [(1.2, "bf16-mixed"), (1.05, "32-true"), (0.5, "32-true")])
@pytest.mark.parametrize("disturbed", [2, 3])
def test_half_the_bits_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, slower: float, choice: str, disturbed: int
) -> None:
    """Whatever else a machine does meanwhile, to the passes of either kind."""
    passes = count()

    def seconds(model: SequenceModel, tokens: torch.Tensor, half: bool) -> float:
        return (1.0 if half else slower) * (9.0 if next(passes) % 4 == disturbed else 1.0)

    monkeypatch.setattr(precision, "_seconds", seconds)
    assert precision.choose(small(), 3, cuda=False) == choice


def test_what_takes_long_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []
    monkeypatch.setattr(precision, "_seconds", lambda model, tokens, half: tried.append(half) or 1.0)
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    precision.choose(small(), 3, cuda=False)
    assert tried == [False, True] * 3


def test_a_processor_that_cannot_has_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: SequenceModel, tokens: torch.Tensor, half: bool) -> float:
        if half:
            raise RuntimeError("could not create a primitive descriptor")
        return 1.0

    monkeypatch.setattr(precision, "_seconds", fail)
    assert precision.choose(small(), 3, cuda=False) == "32-true"


def test_a_processor_without_bfloat16_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_lstm", lambda: False)
    monkeypatch.setattr(precision, "_seconds", lambda *_: 1 / 0)
    assert precision.choose(small(), 3, cuda=False) == "32-true"


def test_processes_that_something_else_started_do_not_time_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda *_: 1 / 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert precision.choose(small(), 3, cuda=False) == "32-true"


def test_a_large_batch_is_tried_with_a_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: set[torch.Size] = set()
    monkeypatch.setattr(precision, "_seconds", lambda model, tokens, half: shapes.add(tokens.shape) or 1.0)
    precision.choose(small(), 3000, cuda=False)
    precision.choose(small(), 3, cuda=False)
    assert shapes == {(64, 64), (3, 64)}


def test_what_the_variable_says_is_obeyed_or_refused(
    tiny: str, run: Run, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(precision.VARIABLE, "64-true")
    assert precision.choose(small(), 3, cuda=False) == "64-true"
    monkeypatch.setenv(precision.VARIABLE, "half")
    status, out, err = run(f"fit --config {tiny}")
    assert (status, out) == (2, "")
    assert err.startswith("lightseq: LIGHTSEQ_PRECISION is 'half': name one of 32-true, bf16-mixed, ")
    assert not list(own_folder.iterdir())


def test_trying_leaves_no_trace() -> None:
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    numbers = torch.get_rng_state()
    assert precision.choose(model, 3, cuda=False) in ("32-true", "bf16-mixed")
    assert torch.equal(numbers, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training


def chosen_in(folder: str) -> str:
    with open(f"{folder}/config.yaml") as file:
        return str(yaml.safe_load(file)["trainer"]["precision"])


def test_the_choice_is_said_and_stored_and_used_again(tiny: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "choose", lambda *_: "bf16-mixed")
    status, out, err = run(f"fit --config {tiny}")
    assert status == 0, err
    assert "trained in bf16-mixed" in out
    assert chosen_in("runs/dinos/version_0") == "bf16-mixed"
    fitted = out.partition("val/loss ")[2].split(",")[0]
    monkeypatch.setattr(precision, "choose", lambda *_: "32-true")
    status, out, err = run("validate --ckpt_path runs/dinos/version_0")
    assert f"{float(out.split('val/loss')[1].split()[0]):.4f}" == fitted
    assert "scored in bf16-mixed" in err


def test_what_is_said_is_obeyed(tiny: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "choose", lambda *_: 1 / 0)
    status, _, err = run(f"fit --config {tiny} --trainer.precision 64")
    assert status == 0, err
    assert chosen_in("runs/dinos/version_0") == "64"


def test_in_bf16_a_weight_is_cast_once_a_forward_pass(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, forward = set(), GRU.forward

    def watched(network: GRU, *given: torch.Tensor) -> object:
        if network.training:
            seen.add((torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()))
        return forward(network, *given)

    monkeypatch.setattr(GRU, "forward", watched)
    words = f"fit --config {tiny} --model.backbone gru --trainer.precision bf16-mixed --trainer.val_check_interval 1"
    for updates in (1, 4):
        status, _, err = run(f"{words} --trainer.max_steps {updates}")
        assert status == 0, err
    assert seen == {(True, True)}
    early, late = (
        torch.load(f"runs/dinos/version_{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for number in (0, 1)
    )
    assert not any(
        torch.equal(early[name], late[name]) for name in early
    )  # no validation leaves a cast without gradient

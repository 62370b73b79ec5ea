"""``fit --resume``: which run goes on, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., tuple[int, str, str]]

QUIET = "--sampling.every_n_steps 0 --sampling.judged 0 --inside.enabled false"
FOLDER = "runs/dinos/version_0"


@pytest.fixture
def stopped(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The words of a run that was stopped after its first update of three."""
    words = f"fit --config {tiny} {QUIET}"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    assert run(words)[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    return words


def test_the_same_words_again_and_again(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a scheduler types them: a fresh start, then on and on in one folder, then a new run."""
    words = f"fit --config {tiny} {QUIET} --resume auto"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    status, _, err = run(words)
    assert status == 143
    assert err.startswith("lightseq: nothing to go on with in runs/dinos: a fresh start\n")
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "2")
    assert run(words)[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    status, _, err = run(words)
    assert (status, err) == (0, "")
    assert sorted(path.name for path in Path("runs/dinos").iterdir()) == ["version_0"]
    configs = sorted(path.name for path in Path(FOLDER).glob("config*.yaml"))
    assert configs == ["config.resume-1.yaml", "config.resume-2.yaml", "config.yaml"]
    assert len({Path(FOLDER, name).read_text().replace("# ", "") for name in configs}) <= 2  # the vocabulary, at most
    assert "resume: null" in Path(FOLDER, "config.yaml").read_text()
    status, _, err = run(words)
    assert status == 0
    assert err == "lightseq: nothing to go on with in runs/dinos: a fresh start\n"
    assert Path("runs/dinos/version_1/results.json").exists()


@pytest.mark.parametrize("place", [FOLDER, f"{FOLDER}/checkpoints/last.ckpt"])
def test_a_run_by_its_name_brings_its_settings(place: str, run: Run, stopped: str) -> None:
    status, out, err = run(f"fit --resume {place}")
    assert (status, err) == (0, "")
    assert f"in {FOLDER}" in out


def test_a_changed_setting_is_named_and_refused(run: Run, stopped: str) -> None:
    words = f"{stopped} --model.learning_rate 0.5 --model.dropout 0.25 --resume"
    was = f"command line: model.dropout was 0.0 in {FOLDER}, and is 0.25 now; "
    was += f"command line: model.learning_rate was 0.003 in {FOLDER}, and is 0.5 now"
    status, _, err = run(f"{words} {FOLDER}")
    assert status == 2
    assert err == (
        f"lightseq: {was}: a resumed run is the same run. --resume_with_changes true goes on all the same, "
        f"--init_from {FOLDER} begins another from its weights\n"
    )
    status, _, err = run(f"{words} {FOLDER} --resume_with_changes true")
    assert status == 0
    assert "learning_rate: 0.5" in Path(FOLDER, "config.resume-1.yaml").read_text()
    board = EventAccumulator(FOLDER)
    board.Reload()
    assert [scalar.value for scalar in board.Scalars("train/learning_rate")] == pytest.approx([0.003, 0.5, 0.5])


def test_auto_passes_another_run_over_and_says_so(run: Run, stopped: str) -> None:
    status, _, err = run(f"{stopped} --model.learning_rate 0.5 --resume auto")
    assert status == 0
    assert err == (
        f"lightseq: {FOLDER} has not ended, and is another run: command line: model.learning_rate was 0.003 in "
        f"{FOLDER}, and is 0.5 now\nlightseq: nothing to go on with in runs/dinos: a fresh start\n"
    )
    assert Path("runs/dinos/version_1/results.json").exists()
    status, _, err = run(f"{stopped} --resume auto")
    assert (status, err) == (0, "")
    assert Path(FOLDER, "results.json").exists()


def test_another_number_of_processes_is_refused(run: Run, stopped: str) -> None:
    status, _, err = run(f"{stopped} --resume auto --trainer.devices 2")
    assert (status, err) == (
        2,
        f"lightseq: {FOLDER}/checkpoints/last.ckpt is of a run on 1 processes, and here are 2: each has lanes, hidden "
        "states and random numbers of its own, which cannot be dealt anew. Run as many, or begin anew from its weights "
        "with --init_from\n",
    )


def test_another_text_is_refused(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.txt").write_text("one\ntwo\nthree\n" * 40)
    words = f"fit --config {tiny} {QUIET} --data.dataset text --data.dataset_args.path my.txt --resume auto"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    assert run(words)[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    Path("my.txt").write_text("one\ntwo\nthree\n" * 41)
    status, _, err = run(words)
    assert status == 2
    assert err.endswith(
        "\nlightseq: the text is another one than that of runs/text/version_0/checkpoints/last.ckpt: "
        "--resume_with_changes true goes on all the same\n"
    )
    assert run(f"{words} --resume_with_changes true")[0] == 0


def test_the_precision_is_the_first_one(run: Run, stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen by timing, it might be another the second time."""
    monkeypatch.setenv("LIGHTSEQ_PRECISION", "bf16-mixed")
    status, out, _ = run(f"{stopped} --resume auto")
    assert status == 0
    assert "trained in 32-true" in out


def test_words_that_do_not_go_together(run: Run, tiny: str, stopped: str) -> None:
    shutil.copy(f"{FOLDER}/checkpoints/last.ckpt", "copy.ckpt")
    for words, message in {
        f"--resume {FOLDER} --ckpt_path {FOLDER}": "--resume goes on with a run, --ckpt_path begins another from its "
        "checkpoint: name one",
        "--resume nosuch": "no checkpoint or run folder at 'nosuch'",
        "--resume=": "--resume is empty: name a run folder or a checkpoint, or auto",
        "--resume copy.ckpt": "copy.ckpt lies in no run folder with its config.yaml: --ckpt_path begins a new run from "
        "it",
        "--resume auto --trainer.logger false": "--resume goes on in a run folder of lightseq's own, and "
        "trainer.logger has another: --ckpt_path begins a new run from a checkpoint",
        "--resume_with_changes true": "--resume_with_changes says how --resume goes on: name a run, or auto",
        "--checkpoint.save_last true": "checkpoint.save_last: last.ckpt is written anyway; last.every_n_steps says how "
        "often",
    }.items():
        status, _, err = run(f"{stopped} {words}")
        assert (status, err) == (2, f"lightseq: {message}\n")
    status, _, err = run(f"validate --ckpt_path {FOLDER} --resume {FOLDER}")
    assert (status, err) == (
        2,
        "lightseq: resume is for fit; validate takes --ckpt_path, a run folder or a checkpoint\n",
    )


def test_a_stop_after_no_number_is_refused(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "-5")
    status, _, err = run(f"fit --config {tiny}")
    assert (status, err) == (2, "lightseq: LIGHTSEQ_STOP_AFTER is '-5': a number of updates, or nothing\n")
    assert not Path("runs").exists()


def test_a_run_goes_on_by_its_name_again_and_again(run: Run, stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "2")
    assert run(f"fit --resume {FOLDER}")[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    status, _, err = run(f"fit --resume {FOLDER}")
    assert (status, err) == (0, "")


def test_a_run_made_longer_is_no_run_that_has_ended(run: Run, stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(f"{stopped} --resume auto")[0] == 0
    longer = f"{stopped} --trainer.max_steps 9 --resume"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "5")
    assert run(f"{longer} {FOLDER} --resume_with_changes true")[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    status, _, err = run(f"{longer} auto")
    assert (status, err) == (0, "")


def test_a_setting_that_is_gone_is_a_change(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"fit --config {tiny} {QUIET}"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    assert run(f"{words} --model.backbone_args.weight_drop 0.3")[0] == 143
    status, _, err = run(f"{words} --resume {FOLDER}")
    assert status == 2
    assert f"model.backbone_args.weight_drop was 0.3 in {FOLDER}, and is not set now" in err


def test_what_a_killed_run_wrote_after_its_checkpoint_is_not_written_twice(
    run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, not stopped: samples after update 2 are written, the checkpoint is of update 1."""
    words = f"fit --config {tiny} {QUIET} --sampling.every_n_steps 1 --last.every_n_steps 1"
    run(f"{words} --trainer.max_steps 3")
    whole = [Path(FOLDER, name).read_text() for name in ("samples.jsonl", "samples.md")]
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    run(words)
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    for name, text in zip(("samples.jsonl", "samples.md"), whole, strict=True):
        Path("runs/dinos/version_1", name).write_text(text)
    assert run(f"{words} --resume auto")[0] == 0
    assert [Path("runs/dinos/version_1", name).read_text() for name in ("samples.jsonl", "samples.md")] == whole

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
OFTEN = "--trainer.max_steps 30 --trainer.val_check_interval 1 --model.optimizer sgd --early_stopping 2"


def test_a_stop_is_told_and_the_run_that_goes_on_tells_its_own(run: Run, tiny: str) -> None:
    words = f"fit --config {tiny} {OFTEN}"
    too_fast = "--model.optimizer adamw --model.learning_rate 3e37 --model.hidden_size 60"  # one update is enough
    status, out, err = run(f"{words} {too_fast} --inside.enabled false")
    assert status == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("stopped after update ")]
    assert line.endswith(": val/loss is not a number")
    status, out, err = run(f"{words} --model.learning_rate 1e-12")
    assert status == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("stopped after update ")]
    assert line.partition(": ")[2].startswith("val/loss has not been lower than 3.")
    assert line.endswith(" for 2 validations")
    for patience, stops in ((20, []), (3, ["for 3 validations"])):
        words = f"fit --ckpt_path runs/dinos/version_1 --trainer.max_steps 9 --early_stopping {patience}"
        status, out, err = run(words)
        assert status == 0, err
        told = [line for line in out.splitlines() if line.startswith("stopped after update ")]
        assert [line[-len("for 3 validations") :] for line in told] == stops


def test_without_validations_there_is_nothing_to_stop_by(run: Run, tiny: str, own_folder: Path) -> None:
    status, out, err = run(f"fit --config {tiny} {OFTEN} --trainer.limit_val_batches 0")
    assert (status, out) == (2, "")
    assert err == "lightseq: early_stopping needs validations, and trainer.limit_val_batches is 0\n"
    assert not list(own_folder.iterdir())

"""Numbers of samples at validations."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.checkpoint import load_trained
from lightseq.sampling import generate

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/bells/version_0")
NAMES = {"even", "length", "unique", "ended", "distinct2", "distinct3", "novel", "longest_copy", "copied"}


def scalars(folder: Path = FOLDER) -> dict[str, dict[int, float]]:
    """By tag of the samples' numbers, the values by update."""
    board = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    tags = [tag for tag in board.Tags()["scalars"] if tag.startswith("samples/")]
    return {tag: {event.step: event.value for event in board.Scalars(tag)} for tag in tags}


def test_the_numbers_are_of_the_models_samples(run: Run, bells: str) -> None:
    status, _, err = run(f"fit --config {bells} --sampling.temperatures [0.0,0.5,1.0] --averaging.decay 0.9")
    assert status == 0, err
    trained = load_trained(FOLDER / "checkpoints/last.ckpt")  # the averaged weights
    samples = generate(trained.model, trained.vocabulary, [""], [0.5, 1.0], n=5, length=9)
    found = scalars()
    for heat in (0.5, 1.0):
        texts = [sample.text for sample in samples if sample.temperature == heat]
        ended = [sample.ended for sample in samples if sample.temperature == heat]
        last = {tag.split("/")[1]: list(values.values())[-1] for tag, values in found.items() if f"={heat:.2f}" in tag}
        assert set(last) >= NAMES
        assert last["length"] == pytest.approx(sum(map(len, texts)) / 5)
        assert last["even"] == pytest.approx(sum(len(text) % 2 == 0 for text in texts) / 5)
        assert last["ended"] == pytest.approx(sum(ended) / 5)
    assert not [tag for tag in found if "T=0.00" in tag]


def test_the_same_of_human_texts_are_level_lines(run: Run, bells: str) -> None:
    run(f"fit --config {bells}")
    lines = scalars(FOLDER / "yardsticks/held_out")
    assert set(lines) == set(scalars())
    assert all(set(values) == {0, 4} and len(set(values.values())) == 1 for values in lines.values())
    assert lines["samples/ended/T=1.00"][0] == 1
    assert 0 < lines["samples/even/T=1.00"][0] < 1


def test_a_checkpoint_is_chosen_by_a_share_of_the_judge(run: Run, bells: str) -> None:
    words = "--checkpoint.monitor samples/even/T=0.70 --checkpoint.mode max --checkpoint.filename best-{step}"
    words += " --trainer.max_steps 12 --trainer.val_check_interval 2 --model.learning_rate 0.1"
    words += " --sampling.every_n_steps 0 --sampling.temperatures [0.7]"
    status, _, err = run(f"fit --config {bells} {words} --trainer.num_sanity_val_steps 1")
    assert status == 0, err
    shares = scalars()["samples/even/T=0.70"]
    assert len(shares) == 6  # every validation, whatever sampling.every_n_steps says, and not the sanity check
    assert len(set(shares.values())) > 1
    highest = max(range(6), key=lambda place: list(shares.values())[place])
    (best,) = (FOLDER / "checkpoints").glob("best*")
    assert torch.load(best, weights_only=True)["global_step"] == 2 * (highest + 1)


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        ("--sampling.every_n_steps 4", 3),  # after 4, 8 and at the end, 10
        ("--sampling.every_n_steps 5", 2),  # after 6, and at the end
        ("--sampling.every_n_steps 0", 1),
        ("--sampling.judged 0", 0),
        ("--sampling.temperatures [0.0]", 0),
    ],
)
def test_numbers_are_counted_no_oftener_than_asked(run: Run, bells: str, words: str, counted: int) -> None:
    status, _, err = run(f"fit --config {bells} --trainer.max_steps 10 {words}")
    assert status == 0, err
    found = scalars()
    assert {len(values) for values in found.values()} == ({counted} if counted else set())
    assert (FOLDER / "yardsticks/held_out").exists() == bool(counted)


def test_a_model_that_writes_down_its_training_text_is_warned_of_once(run: Run, plugin, bells: str) -> None:
    code = """
from lightseq.data import TextDataset

class Two(TextDataset):
    def documents(self):
        return ["abc"] * 20 + ["abd"] * 20
"""
    plugin("two", "lightseq.datasets", {"two": "two_plugin:Two"}, code)
    words = "--data.dataset two --data.test_fraction 0 --data.val_fraction 0.5 --trainer.max_steps 60"
    words += " --model.learning_rate 0.05 --trainer.val_check_interval 20 --sampling.every_n_steps 20"
    words += " --trainer.check_val_every_n_epoch null --data.batch_size 4"
    with pytest.warns(UserWarning, match="at temperature 1 .*% of the samples are training documents") as caught:
        status, _, err = run(f"fit --config {bells} {words}")
    assert status == 0, err
    assert len([warning for warning in caught if "training documents" in str(warning.message)]) == 1
    assert "it is a training document" in Path("runs/two/version_0/samples.md").read_text()


def test_a_stream_and_a_run_without_a_bound(run: Run, bells: str, alphabet: str) -> None:
    words = f"--data.dataset {alphabet} --data.window 8 --trainer.max_steps -1 --trainer.max_epochs -1"
    words += " --trainer.max_time 00:00:00:01 --trainer.check_val_every_n_epoch null"
    status, _, err = run(f"fit --config {bells} {words}")
    assert status == 0, err
    found = scalars(Path("runs/alphabet/version_0"))
    assert {tag.split("/")[1] for tag in found} == NAMES - {"even", "ended", "novel"} | {"overlap4", "overlap8"}
    last = json.loads(Path("runs/alphabet/version_0/samples.jsonl").read_text().splitlines()[-1])["step"]
    lines = scalars(Path("runs/alphabet/version_0/yardsticks/held_out"))
    assert {tuple(values) for values in lines.values()} == {(0, last)}


def test_labels_have_no_samples(run: Run, bells: str, vowels: str) -> None:
    status, _, err = run(f"fit --config {bells} --data.dataset {vowels}")
    assert status == 0, err
    assert not scalars(Path("runs/vowels/version_0"))
    assert not Path("runs/vowels/version_0/samples.md").exists()

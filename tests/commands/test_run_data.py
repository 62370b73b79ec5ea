import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lightseq.checkpoint import find_checkpoint
from lightseq.commands.novel import texts_of
from lightseq.commands.run_data import data_of, dataset_of, take_data_words
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]


def bare(run: str) -> str:
    """A copy of a run's checkpoint, with nothing beside it."""
    Path("bare.ckpt").write_bytes(find_checkpoint(run).read_bytes())
    return "bare.ckpt"


def test_words_about_the_data_are_taken_out() -> None:
    words = (
        "RUN --data.dataset a=b --n 3 --data.dataset_args.x=1 --data.dataset_args {} --data.window 3 --data.datasets"
    )
    assert take_data_words(words.split()) == (
        ["RUN", "--n", "3", "--data.window", "3", "--data.datasets"],
        ["--data.dataset", "a=b", "--data.dataset_args.x=1", "--data.dataset_args", "{}"],
    )
    with pytest.raises(UserError, match=r"--data\.dataset_args\.x needs a value"):
        take_data_words(["RUN", "--data.dataset_args.x"])


def test_the_data_of_a_run_are_those_that_it_was_trained_on(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --data.window 7 --data.split_seed 3 --data.dataset_args.source embedded")
    folder = "runs/dinos/version_0"
    for place in (folder, bare(folder)):
        data = data_of(place)
        assert (data.dataset_name, data.batch_size, data.window, data.deal.seed) == ("dinos", 32, 7, 3)
        assert data.vocabulary == ["", *"abcdefghijklmnopqrstuvwxyz"]
        assert data.labels is None
        assert len(data.parts["val"]) == 134
    dataset = dataset_of(folder)
    assert texts_of(data.store) == set(map(str, dataset.documents()))
    assert len(texts_of(data.store)) == 1339


def test_the_checkpoint_s_vocabulary_rules(run: Run, tiny: str) -> None:
    Path("old.txt").write_text("".join(f"{a}{b}z\n" for a in "abcdef" for b in "abcdef"))
    Path("new.txt").write_text("".join(f"{a}{b}\n" for a in "fedcba" for b in "ba"))
    run(f"fit --config {tiny} --data.dataset text --data.dataset_args.by line --data.dataset_args.path old.txt")
    folder = next(Path("runs").glob("*/version_0"))
    data = data_of(str(folder), ["--data.dataset_args.path", "new.txt"])
    assert data.vocabulary == ["", *"abcdefz"]
    assert "fb" in texts_of(data.store)
    assert len(texts_of(data.store)) == 12
    Path("new.txt").write_text("".join(f"{a}q\n" for a in "abcdef"))
    with pytest.raises(UserError, match="1 tokens that the given vocabulary of 8 lacks: character 'q'"):
        data_of(str(folder), ["--data.dataset_args.path=new.txt"]).vocabulary  # noqa: B018


def test_the_labels_are_those_of_the_checkpoint(run: Run, tiny: str, vowels: str) -> None:
    run(f"fit --config {tiny} --data.dataset {vowels}")
    assert data_of("runs/vowels/version_0").labels == ["consonant", "vowel"]
    with pytest.raises(UserError, match="labels that the given ones lack: none, some"):
        data_of("runs/vowels/version_0", ["--data.dataset_args.tagged=false"]).labels  # noqa: B018


def test_a_checkpoint_alone_opens_nothing_that_names_a_place(run: Run, tiny: str) -> None:
    Path("own.txt").write_text("".join(f"{a}{b}\n" for a in "abcdef" for b in "abcdef"))
    run(f"fit --config {tiny} --data.dataset text --data.dataset_args.by line --data.dataset_args.path own.txt")
    folder = str(next(Path("runs").glob("*/version_0")))
    assert len(data_of(folder).parts["train"]) > 20
    place = bare(folder)
    with pytest.raises(
        UserError, match=r"a checkpoint alone opens nothing: type .*--data\.dataset_args\.path 'own.txt'"
    ):
        data_of(place)
    words = ["--data.dataset_args.path", "own.txt", "--data.dataset_args.by", "line"]
    assert texts_of(data_of(place, words).store) == texts_of(data_of(folder).store)


def test_a_file_of_code_runs_only_where_it_is_named(run: Run, tiny: str) -> None:
    Path("mine_of_run.py").write_text(
        "from lightseq.data import TextDataset\n\nclass Mine(TextDataset):\n"
        "    def documents(self):\n        return [a + b for a in 'abcdef' for b in 'abcdef']\n"
    )
    name = "./mine_of_run.py:Mine"
    run(f"fit --config {tiny} --data.dataset {name} --sampling.prompts [a]")
    from lightseq import registry

    registry.ALLOWED.clear()  # as in a new process
    for place in ("runs/Mine/version_0", bare("runs/Mine/version_0")):
        with pytest.raises(UserError, match="whose code runs only where you name it yourself"):
            data_of(place)
    assert len(texts_of(data_of("runs/Mine/version_0", ["--data.dataset", name]).store)) == 36


def test_a_configuration_that_was_changed_by_hand(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny}")
    path = Path("runs/dinos/version_0/config.yaml")
    settings = yaml.safe_load(path.read_text())
    settings["data"].update(window="wide", tokens=["x"], of_another_version=1)
    path.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="argument of 'data': window must be a whole number, not 'wide'"):
        data_of("runs/dinos/version_0")
    settings["data"]["window"] = "9"
    path.write_text(json.dumps(settings))
    assert data_of("runs/dinos/version_0").window == 9
    del settings["data"]["dataset"]
    path.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="does not say what it was trained on: --data"):
        data_of("runs/dinos/version_0")

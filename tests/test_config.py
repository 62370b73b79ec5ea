from pathlib import Path

import pytest

from lightseq import config
from lightseq.config import Settings
from lightseq.errors import UserError


def read(text: str) -> Settings:
    return config.read_settings(text, "my.yaml")


def test_numbers_are_numbers_and_a_plugins_arguments_stay_text() -> None:
    text = """
model: {learning_rate: 3e-3, backbone_args: {a: 007, b: yes, c: null, e: 2024-01-01}}
data:
  dataset_args:
    path: 2024
"""
    values = read(text).values
    assert values["model"]["learning_rate"] == 0.003
    assert values["model"]["backbone_args"] == {"a": "007", "b": "yes", "c": None, "e": "2024-01-01"}
    assert values["data"]["dataset_args"] == {"path": "2024"}


def test_what_stands_in_a_list_or_a_mapping_of_a_plugin_stays_text_too() -> None:
    text = "data:\n  batch_size: 3\n  dataset_args: {words: [a, 007, null, [yes]], map: {b: 1e3, c: 2024-01-01}}\n"
    values = read(text).values["data"]
    assert values["batch_size"] == 3
    assert values["dataset_args"] == {"words": ["a", "007", None, ["yes"]], "map": {"b": "1e3", "c": "2024-01-01"}}
    assert config.read_value("[a, 007, {b: yes}]") == ["a", "007", {"b": "yes"}]
    assert config.read_value("[a") == "[a"


def test_the_line_of_every_key() -> None:
    places = read("data:\n  dataset: dinos\n\nmodel:\n  hidden_size: 3\n").places
    assert places == {
        "data": "my.yaml, line 1",
        "data.dataset": "my.yaml, line 2",
        "model": "my.yaml, line 4",
        "model.hidden_size": "my.yaml, line 5",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:\n  dataset: [dinos\nmodel: 3\n", "my.yaml, line 3: broken YAML"),
        ("a: 1\n\tb: 2\n", "my.yaml, line 2: broken YAML"),
        ("- a\n", "my.yaml, line 1: a configuration is a mapping"),
        ("data:\n  dataset: a\n  dataset: b\n", "my.yaml, line 3: data.dataset is said twice"),
        ("a: !!python/object/apply:os.getcwd []\n", "my.yaml, line 1: broken YAML"),
    ],
)
def test_broken_files(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(text)


def test_an_empty_file_says_nothing() -> None:
    assert read("# nothing\n") == Settings({}, {})


KNOWN = {"data.dataset", "data.dataset_args", "model.hidden_size", "model.num_layers", "trainer.callbacks"}


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("model.hiden_size", "; did you mean model.hidden_size?"),
        ("hidden_size", "; did you mean model.hidden_size?"),
        ("data.hidden_size", "; did you mean model.hidden_size?"),
        ("modle.hidden_sise", "; did you mean model.hidden_size?"),
        ("model.zzz", ""),
    ],
)
def test_an_unknown_key_gets_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(UserError) as caught:
        config.check_keys(Settings({}, {key: "my.yaml, line 7"}), KNOWN)
    assert str(caught.value) == f"my.yaml, line 7: unknown key {key}{nearest}"


def test_groups_leaves_and_what_is_below_a_leaf_are_known() -> None:
    keys = ["data", "data.dataset", "data.dataset_args.path", "trainer.callbacks.init_args.monitor"]
    config.check_keys(Settings({}, dict.fromkeys(keys, "here")), KNOWN)


def test_a_later_file_wins_key_by_key_and_lists_are_replaced() -> None:
    merged, notes = config.overlay(read("a: {b: 1, c: 2}\nl: [1, 2]\n"), read("a: {c: 3}\nl: [4]\n"))
    assert merged.values == {"a": {"b": 1, "c": 3}, "l": [4]}
    assert notes == []


OLD = """
data: {dataset: text, dataset_args: {path: a}, batch_size: 3}
model: {backbone: rnn, backbone_args: {activation: relu}}
sampling: {prompts: [To be], n: 2}
"""


def test_another_dataset_drops_what_belonged_to_the_old_one() -> None:
    merged, notes = config.overlay(read(OLD), read("data: {dataset: dinos}\n"))
    assert merged.values["data"] == {"dataset": "dinos", "batch_size": 3}
    assert merged.values["sampling"] == {"n": 2}
    assert merged.values["model"]["backbone_args"] == {"activation": "relu"}
    assert notes == [
        "data.dataset is dinos: data.dataset_args of text is dropped (my.yaml, line 2)",
        "data.dataset is dinos: sampling.prompts of text is dropped (my.yaml, line 4)",
    ]
    assert "data.dataset_args.path" not in merged.places


def test_another_backbone_drops_its_arguments_and_takes_new_ones() -> None:
    merged, notes = config.overlay(read(OLD), read("model: {backbone: gru, backbone_args: {own: 1}}\n"))
    assert merged.values["model"] == {"backbone": "gru", "backbone_args": {"own": "1"}}
    assert len(notes) == 1


def test_the_same_dataset_keeps_its_arguments() -> None:
    merged, notes = config.overlay(read(OLD), read("data: {dataset: text, dataset_args: {lower: true}}\n"))
    assert merged.values["data"]["dataset_args"] == {"path": "a", "lower": "true"}
    assert notes == []


def test_a_file_goes_before_a_recipe_of_the_same_name(own_folder: Path) -> None:
    text, source = config.find_config("dinos")
    assert source == "recipe dinos"
    Path("dinos").write_text("a: 1\n")
    assert config.find_config("dinos") == ("a: 1\n", "dinos")
    assert "dataset: dinos" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [("nosuch.yaml", "no configuration file 'nosuch.yaml', and no recipe"), ("dino", "did you mean 'dinos'")],
)
def test_a_missing_file(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config.find_config(name)


def test_a_file_that_is_no_text(own_folder: Path) -> None:
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.yaml cannot be read"):
        config.find_config("binary.yaml")

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
    with pytest.raises(UserError, match=r"binary.yaml, line 1: byte 0 \(0xFF\) is not UTF-8"):
        config.find_config("binary.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 2000 + "]" * 2000, "line 1: broken YAML: more than 50 levels within each other"),
        ("a: " + "{b: " * 2000 + "}" * 2000, "line 1: broken YAML: more than 50 levels within each other"),
        ("a: 1\nb: &x [1, *x]", "line 2: broken YAML: an alias stands within what it names"),
        ("a: 1\nb: &x {c: *x}", "line 2: broken YAML: an alias stands within what it names"),
        ("a: 1\n[b, c]: 2", "line 2: broken YAML: a key is text, no list or mapping"),
        ("a: 1\n? {b: c}\n: 2", "line 2: broken YAML: a key is text, no list or mapping"),
        ("a: !!set {b, c}", "line 1: broken YAML: the tag set is not for a configuration"),
        ("a: !!python/object:os.system x", "line 1: broken YAML: the tag python/object:os.system is not for"),
        ("a: !mine x", "line 1: broken YAML: could not determine a constructor for the tag '!mine'"),
        ("a: 1\nb: 2024-13-40", "line 2: broken YAML: '2024-13-40' is no timestamp"),
        ("a: !!int many", "line 1: broken YAML: 'many' is no int"),
        ("a: !!bool maybe", "line 1: broken YAML: 'maybe' is no bool"),
        ("a: 1\n---\nb: 2", "line 2: broken YAML: but found another document"),
        ("a: &x {b: 1}\nc: {<<: *x}", "line 2: << (a merge key) is not for a configuration"),
        ('a: 1\nb: "\\ud800"', "line 2: '\\ud800' has half of a surrogate pair"),
        ('a: "\\U00ffffff"', "line 1: broken YAML: "),
    ],
)
def test_what_is_not_for_a_configuration(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text)
    assert message in str(caught.value)


def test_aliases_that_multiply_are_counted_before_they_are_made() -> None:
    lines = ["a0: &a0 [" + ", ".join("x" * 9) + "]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    with pytest.raises(UserError, match=r"line 1: broken YAML: its aliases make [\d,]{30,} values of it"):
        read("\n".join(lines))


def test_aliases_that_do_not_multiply_are_values() -> None:
    assert read("a: &x [1, 2]\nb: *x\nc: *x").values == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}


def test_a_long_list_without_aliases_is_no_matter() -> None:
    text = "data: {tokens: [" + ",".join("a" * 50_000) + "]}"
    assert read(text).values == {"data": {"tokens": ["a"] * 50_000}}


def test_keys_are_text() -> None:
    text = "a: [{2024-01-01: 1, 4: 2, 1.50: 3, yes: 4, null: 5}]"
    assert read(text).values == {"a": [{"2024-01-01": 1, "4": 2, "1.50": 3, "yes": 4, "null": 5}]}


@pytest.mark.parametrize("value", ["[" * 3000, "&x [*x]", "{a: " * 3000])
def test_a_value_without_bound_is_refused(value: str) -> None:
    with pytest.raises(UserError, match=r"within each other|stands within"):
        config.check_value(value)


@pytest.mark.parametrize("value", ["[a, 0b_]", "{0x_: 1}", "{a: 2020-01-40}", "a: !!timestamp x"])
def test_a_list_of_what_only_seems_a_number_is_refused(value: str) -> None:
    with pytest.raises(UserError, match=r"^.{8,}: something in it only seems to be a number or a date: quote it"):
        config.check_value(value)


@pytest.mark.parametrize("value", ["0b_", "2020-01-40", "[1, 2]", "a & b", "*", "[", "{a", "x[0]"])
def test_a_value_that_is_plain_text_is_let_through(value: str) -> None:
    config.check_value(value)


def test_a_file_without_end_is_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "LONGEST", 1 << 20)
    with pytest.raises(UserError, match="/dev/zero has more than 1024 KiB: this is no configuration"):
        config.read_file("/dev/zero")


@pytest.mark.parametrize(
    "text", ["trainer.max_steps: 3", "trainer: {logger.class_path: x}", "trainer: {callbacks: [{a.b: 1}]}"]
)
def test_a_key_with_a_dot_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"my\.yaml, line 1: [\w.]+: write \w+ below \w+: in place of the dot"):
        config.read_settings(text, "my.yaml")

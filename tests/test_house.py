"""The rules of the house."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch

import lightseq
from lightseq import registry

ROOT = Path(inspect.getfile(lightseq)).parent
LEAVES = [Path(inspect.getfile(import_module(f"lightseq.{name}"))).parent for name in ("datasets", "callbacks")]
FILES = {
    f"{prefix}{'.'.join(path.relative_to(root).with_suffix('').parts)}": path
    for root, prefix in [(ROOT, "lightseq."), *((leaf, f"lightseq.{leaf.name}.") for leaf in LEAVES)]
    for path in root.rglob("*.py")
}

ORDER = ["types", "vocabulary", "loss", "metrics", "backbones", "model", "evaluation", "system"]
"""Each imports only what stands before it, of these."""

LIGHTNING = (
    "lightseq.system",
    "lightseq.checkpoint",
    "lightseq.checkpoint_files",
    "lightseq.data.datamodule",
    "lightseq.sharding",
    "lightseq.callbacks",
    "lightseq.cli",
)
COMMANDS = tuple(
    f"lightseq.commands.{name}"
    for name in (
        "train",
        "parser",
        "house",
        "beginning",
        "init_from",
        "resume",
        "report",
        "run_folder",
        "datasets",
        "saving",
        "side_by_side",
    )
)


def imports(name: str) -> set[str]:
    """What a module imports, in full names, wherever in it."""
    found = set()
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, *parents: str) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def test_every_module_is_seen() -> None:
    assert {"lightseq.system", "lightseq.datasets.dinos", "lightseq.callbacks.sample_text"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_only_the_commands_import_the_leaves(name: str) -> None:
    leaves = ("lightseq.datasets", "lightseq.callbacks")
    if not within(name, *leaves, "lightseq.cli", *COMMANDS):
        assert not [other for other in imports(name) if within(other, *leaves)]


@pytest.mark.parametrize("name", FILES)
def test_only_a_few_modules_import_lightning(name: str) -> None:
    if not within(name, *LIGHTNING, *COMMANDS):
        assert not [o for o in imports(name) if within(o, "pytorch_lightning", "lightning_fabric", "lightning")]


@pytest.mark.parametrize("name", FILES)
def test_the_layers_look_down_only(name: str) -> None:
    place = next((i for i, layer in enumerate(ORDER) if within(name, f"lightseq.{layer}")), None)
    if place is not None:
        above = [f"lightseq.{layer}" for layer in [*ORDER[place + 1 :], "data", "sampling", "commands", "cli"]]
        assert not [other for other in imports(name) if within(other, *above)]


@pytest.mark.parametrize("name", FILES)
def test_nothing_but_the_commands_looks_up(name: str) -> None:
    if not within(name, "lightseq.commands", "lightseq.cli", "lightseq.__main__"):
        assert not [other for other in imports(name) if within(other, "lightseq.commands", "lightseq.cli")]
    if within(
        name, "lightseq.data", "lightseq.sampling", "lightseq.registry", "lightseq.config", "lightseq.checkpoint"
    ):
        assert not [other for other in imports(name) if within(other, "lightseq.system")]


@pytest.mark.parametrize("name", FILES)
def test_functions_are_short(name: str) -> None:
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            body = node.end_lineno - node.body[0].lineno
            assert body <= 45, f"{node.name} has {body} lines"
    assert FILES[name].name not in {"utils.py", "helpers.py", "misc.py"}


def test_few_classes_are_abstract_and_no_concrete_one_is_subclassed() -> None:
    classes = [
        value
        for name in FILES
        if not name.endswith("__main__")
        for value in vars(import_module(name.removesuffix(".__init__"))).values()
        if inspect.isclass(value) and value.__module__.startswith("lightseq.")
    ]
    abstract = {"Backbone", "Recurrent", "Blocks", "TextDataset"}
    assert {c.__name__ for c in classes if inspect.isabstract(c)} == abstract
    parents = {base for c in classes for base in c.__bases__ if base.__module__.startswith("lightseq.")}
    assert {c.__name__ for c in parents} <= {*abstract, "UserError"}


@pytest.mark.parametrize("name", FILES)
def test_nothing_probes_with_hasattr(name: str) -> None:
    calls = [node for node in ast.walk(ast.parse(FILES[name].read_text())) if isinstance(node, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "hasattr"]


@pytest.mark.parametrize("group", [registry.DATASETS, registry.BACKBONES])
def test_the_built_in_enter_by_the_same_door(group: str) -> None:
    own = [point for point in registry.plugins(group) if registry.distribution(point) == "lightseq-rnn"]
    assert own
    for point in own:
        assert registry.load(group, point.name).__doc__


def test_the_global_generator_is_never_drawn_from_by_data() -> None:
    from lightseq.data import SequenceData

    before = torch.get_rng_state()
    list(SequenceData("dinos", seed=1).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)

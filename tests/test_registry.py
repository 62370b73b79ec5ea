import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightseq import registry
from lightseq.config import NAMES_A_PLACE
from lightseq.data import SequenceData
from lightseq.errors import UserError

GOOD = """
from lightseq.data import TextDataset

class Colours(TextDataset):
    '''Names of colours.'''

    def __init__(self, path: str = "none", times: int = 1, ratio: float | None = None) -> None:
        self.path, self.times, self.ratio = path, times, ratio

    def documents(self):
        return ["red", "green", "blue", "grey"] * self.times
"""


@pytest.fixture
def colours(plugin: Callable[..., None]) -> None:
    plugin("colours", "lightseq.datasets", {"colours": "colours_good:Colours"}, GOOD)


def test_a_strangers_plugin_is_found_like_a_built_in_one(colours: None) -> None:
    names = [(point.name, registry.distribution(point)) for point in registry.plugins(registry.DATASETS)]
    assert ("colours", "colours") in names
    assert ("dinos", "lightseq-rnn") in names


@pytest.mark.parametrize("name", ["dino", "dinosaurs", "Dinos"])
def test_an_unknown_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=f"no dataset called '{name}'; did you mean 'dinos'\\? Installed: .*dinos"):
        registry.load(registry.DATASETS, name)


def test_an_unknown_name_far_from_all_gets_the_list() -> None:
    with pytest.raises(
        UserError, match=r"no backbone called 'zzz'\. Installed: gru, lstm, mingru, minlstm, mlstm, rglru, rnn"
    ):
        registry.load(registry.BACKBONES, "zzz")


def test_a_name_that_two_distributions_claim(colours: None, plugin: Callable[..., None]) -> None:
    other = GOOD.replace("red", "pink")
    plugin("paints", "lightseq.datasets", {"colours": "paints_good:Colours"}, other)
    with pytest.raises(UserError, match=r"several .* called 'colours': say 'colours:colours' or 'paints:colours'"):
        registry.load(registry.DATASETS, "colours")
    assert "pink" in registry.build(registry.DATASETS, "paints:colours", None).documents()


def test_a_built_in_cannot_be_shadowed_silently(plugin: Callable[..., None]) -> None:
    plugin("thief", "lightseq.datasets", {"dinos": "thief_good:Colours"}, GOOD)
    with pytest.raises(UserError, match="'lightseq-rnn:dinos' or 'thief:dinos'"):
        registry.load(registry.DATASETS, "dinos")


@pytest.mark.parametrize(
    ("code", "target", "message"),
    [
        ("raise RuntimeError('no licence')", "Colours", "raises RuntimeError: no licence"),
        ("import no_such_module", "Colours", "raises ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "Colours", "raises AttributeError: .*'Colours'"),
        ("Colours = 3", "Colours", "is no class"),
        ("def f(:", "Colours", "raises SyntaxError"),
        ("import sys; sys.exit(3)", "Colours", "raises SystemExit: 3"),
        ("raise ValueError('two\\n lines')", "Colours", "raises ValueError: two lines"),
    ],
)
def test_a_broken_plugin_breaks_only_itself(plugin, code: str, target: str, message: str, run) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": f"rotten_plugin:{target}"}, code)
    with pytest.raises(UserError, match=f"'rotten' of rotten is broken: rotten_plugin:{target} {message}"):
        registry.load(registry.DATASETS, "rotten")
    assert registry.load(registry.DATASETS, "dinos").__name__ == "Dinos"
    status, out, _ = run("datasets --load")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        point.name for point in registry.plugins(registry.DATASETS)
    ]
    (own,) = [line for line in out.splitlines() if "broken: " in line]
    assert own.startswith("rotten ")


ROTTEN = """
import sys
from lightseq.data import TextDataset

class NoDataset:
    pass

class Abstract(TextDataset):
    pass

class Raises(TextDataset):
    def __init__(self) -> None:
        raise RuntimeError("no licence")

    def documents(self):
        return []

class Leaves(Raises):
    def __init__(self) -> None:
        sys.exit("bye")

class Stumbles(TextDataset):
    def documents(self):
        yield "abc"
        yield {}["cab"]

class Nothing(TextDataset):
    def documents(self):
        pass

class Numbers(TextDataset):
    def documents(self):
        return [1, 2, 3]
"""

BROKEN = {
    "NoDataset": "'rotten' is broken: NoDataset is no lightseq.data.TextDataset",
    "Abstract": "'rotten' cannot be made: Abstract() raises TypeError: Can't instantiate abstract class Abstract",
    "Raises": "'rotten' cannot be made: Raises() raises RuntimeError: no licence",
    "Leaves": "'rotten' cannot be made: Leaves() raises SystemExit: bye",
    "Stumbles": "dataset 'rotten' is broken: Stumbles.documents() raises KeyError: 'cab'",
    "Nothing": "dataset 'rotten' is broken: Nothing.documents() raises TypeError",
    "Numbers": "dataset 'rotten' is broken: a document is text or a Document, not 1",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_dataset_is_one_message(name: str, plugin, run, tiny: str, monkeypatch) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": f"rotten_plugin:{name}"}, ROTTEN)
    status, _, err = run(f"fit --config {tiny} --data.dataset rotten")
    assert status == 2
    assert BROKEN[name] in err.splitlines()[-1]
    assert list(Path().iterdir()) == []
    monkeypatch.setenv("LIGHTSEQ_DEBUG", "1")
    with pytest.raises(UserError):
        run(f"fit --config {tiny} --data.dataset rotten")


def test_what_is_broken_is_said_in_the_list(plugin, run) -> None:
    points = {name.lower(): f"rotten_plugin:{name}" for name in ("NoDataset", "Abstract", "Numbers")}
    plugin("rotten", "lightseq.datasets", points, ROTTEN)
    own = [line.split("  ")[-1].strip() for line in run("datasets --load")[1].splitlines() if "rotten" in line]
    assert own == [
        "broken: Abstract lacks documents()",
        "broken: NoDataset is no lightseq.data.TextDataset",
        "documents:",
    ]


def test_listing_imports_nothing(plugin, run) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": "rotten_plugin:Rotten"}, "raise SystemExit('imported')")
    status, out, _ = run("datasets")
    assert status == 0
    assert any(line.split()[:3] == ["rotten", "rotten", "1.0"] for line in out.splitlines())


def test_arguments_are_read_as_the_constructor_annotates_them(colours: None) -> None:
    built = registry.build(registry.DATASETS, "colours", {"path": "2024", "times": "2", "ratio": 0.5})
    assert (built.path, built.times, built.ratio) == ("2024", 2, 0.5)
    built = registry.build(registry.DATASETS, "colours", {"path": 2024, "times": 2, "ratio": None})
    assert (built.path, built.times, built.ratio) == ("2024", 2, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tmes": 1}, r"'colours' has no argument 'tmes'; did you mean 'times'\? It takes: path, times, ratio"),
        ({"times": "many"}, r"argument of 'colours': times must be a whole number, not many"),
        ({"times": 1.5}, "times must be a whole number, not 1.5"),
    ],
)
def test_arguments_that_do_not_fit(colours: None, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        registry.build(registry.DATASETS, "colours", arguments)


def test_the_houses_arguments_are_not_the_users() -> None:
    with pytest.raises(UserError, match=r"'lstm' has no argument 'hidden_size'\. It takes: input_dropout, output_"):
        registry.convert(registry.BACKBONES, "lstm", {"hidden_size": 3})


PLAIN = """
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Optional
from lightseq.data import TextDataset
from lightseq.types import PositiveInt

class Plain(TextDataset):
    def __init__(
        self,
        words: list[str] = [],
        numbers: list[int] | None = None,
        pair: tuple[int, str] = (1, "a"),
        many: Sequence[float] = (),
        table: Mapping[str, list[int]] = {},
        unique: set[str] = set(),
        either: str | list[str] = "",
        kind: Literal["a", 1] = "a",
        place: Optional[Path] = None,
        size: PositiveInt = 1,
        sizes: dict[int, PositiveInt] = {},
        text: str = None,
        **rest: int,
    ) -> None:
        vars(self).update({k: v for k, v in locals().items() if k != "self"})

    def documents(self):
        return []
"""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"words": ["a", "2024", "007"]}, {"words": ["a", "2024", "007"]}),
        ({"words": ["a", 2024]}, {"words": ["a", "2024"]}),
        ({"words": "[a, 2024, 007, 2024-01-01]"}, {"words": ["a", "2024", "007", "2024-01-01"]}),
        ({"numbers": ["1", "2"]}, {"numbers": [1, 2]}),
        ({"numbers": "[1, 2]"}, {"numbers": [1, 2]}),
        ({"numbers": None}, {"numbers": None}),
        ({"pair": ["3", "4"]}, {"pair": (3, "4")}),
        ({"many": [1, "2.5"]}, {"many": [1.0, 2.5]}),
        ({"table": {"a": ["1"]}}, {"table": {"a": [1]}}),
        ({"table": "{a: [1]}"}, {"table": {"a": [1]}}),
        ({"unique": ["b", "b", 3]}, {"unique": {"b", "3"}}),
        ({"either": "[a, 2024]"}, {"either": ["a", "2024"]}),
        ({"either": "2024", "text": "[a]"}, {"either": "2024", "text": "[a]"}),
        ({"either": ["a", 3]}, {"either": ["a", "3"]}),
        ({"kind": "1"}, {"kind": 1}),
        ({"place": "2024"}, {"place": Path("2024")}),
        ({"size": "3", "sizes": {"4": "5"}}, {"size": 3, "sizes": {4: 5}}),
        ({"text": None}, {"text": None}),
    ],
)
def test_plain_types_below_a_list_and_a_mapping_too(given: dict[str, Any], read: dict[str, Any], plugin) -> None:
    plugin("plain", "lightseq.datasets", {"plain": "plain_plugin:Plain"}, PLAIN)
    built = registry.build(registry.DATASETS, "plain", given)
    assert {key: getattr(built, key) for key in read} == read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"numbers": ["1", "x"]}, "argument of 'plain': numbers must be a whole number, not x"),
        ({"words": "[a"}, r"argument of 'plain': words must be a list like .*, not \[a$"),
        ({"size": "0"}, "argument of 'plain': size must be >0, not 0"),
        ({"rest": "1"}, "'plain' has no argument 'rest'"),
    ],
)
def test_plain_types_that_do_not_fit(given: dict[str, Any], message: str, plugin) -> None:
    plugin("plain", "lightseq.datasets", {"plain": "plain_plugin:Plain"}, PLAIN)
    with pytest.raises(UserError, match=message):
        registry.build(registry.DATASETS, "plain", given)


ODD = {
    "type": "is annotated with type",
    "Any": "is annotated with .*Any",
    "Callable[[int], int]": "is annotated with collections.abc.Callable",
    "Decimal": "is annotated with Decimal",
    "list": "is annotated with list",
    "dict[str, Decimal]": "is annotated with dict",
    "Path_fr": "is annotated with Path_fr",
    "Decimal | None": "is annotated with decimal.Decimal | None",
}


@pytest.mark.parametrize("annotation", ODD)
def test_only_plain_types_are_annotated(annotation: str, plugin) -> None:
    code = f"""
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from jsonargparse.typing import Path_fr
from lightseq.data import TextDataset

class Odd(TextDataset):
    def __init__(self, size: int = 1, own: {annotation} = None) -> None:
        pass

    def documents(self):
        return []
"""
    plugin("odd", "lightseq.datasets", {"odd": "odd_plugin:Odd"}, code)
    with pytest.raises(UserError, match=f"argument 'own' of 'odd' {ODD[annotation]}.*; plain types only"):
        registry.build(registry.DATASETS, "odd", {"size": 3})


def test_annotations_that_are_missing_or_stand_in_text(plugin) -> None:
    code = """
from __future__ import annotations
from lightseq.data import TextDataset

class Good(TextDataset):
    def __init__(self, size: int = 1) -> None:
        self.size = size
    documents = list

class Bare(Good):
    def __init__(self, own=1) -> None:
        pass

class Unknown(Good):
    def __init__(self, own: Nowhere = 1) -> None:
        pass
"""
    points = {name.lower(): f"text_plugin:{name}" for name in ("Good", "Bare", "Unknown")}
    plugin("text", "lightseq.datasets", points, code)
    assert registry.build(registry.DATASETS, "good", {"size": "3"}).size == 3
    with pytest.raises(UserError, match="argument 'own' of 'bare' has no annotation; plain types only"):
        registry.build(registry.DATASETS, "bare", None)
    with pytest.raises(UserError, match=r"'unknown' is broken: its annotations cannot be read: NameError: .*Nowhere"):
        registry.build(registry.DATASETS, "unknown", None)


def test_a_missing_argument(plugin) -> None:
    code = GOOD.replace('path: str = "none"', "path: str")
    plugin("colours", "lightseq.datasets", {"colours": "colours_bare:Colours"}, code)
    with pytest.raises(UserError, match="argument of 'colours': path is needed"):
        registry.build(registry.DATASETS, "colours", {"times": 2})


FILE = """
from lightseq.data import TextDataset
from my_words import WORDS

class MyData(TextDataset):
    def __init__(self, path: str = "", words: list[str] | None = None) -> None:
        self.path, self.words = path, words

    def documents(self):
        return [word + (self.words or [""])[-1] for word in WORDS]

class MyOther(MyData):
    pass

def rows():
    return 3
"""
RUN = Path("runs/MyData/version_0")


@pytest.fixture
def my_data(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file of one's own and one beside it, and what is left of them in this process taken away."""
    Path("my_data.py").write_text(FILE)
    Path("my_words.py").write_text('WORDS = ["abc", "bca", "cab", "acb", "bac", "cba", "aab", "abb"]\n')
    monkeypatch.setattr(registry, "ALLOWED", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "./my_data.py:MyData"
    for name in ("my_data", "my_words"):
        sys.modules.pop(name, None)


def test_a_file_of_ones_own_trains(my_data: str, run, tiny: str) -> None:
    words = f"--sampling.prompts [a] --data.dataset {my_data} --data.dataset_args.words"
    status, _, err = run(f"fit --config {tiny}", *words.split(), "[x,2024]".replace(" ", ""))
    assert status == 0, err
    assert RUN.is_dir()
    content = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["datamodule_hyper_parameters"]["dataset"] == my_data
    assert "4" in content["hyper_parameters"]["vocabulary"]
    assert run(f"sample {RUN} --n 1")[0] == 0


def test_a_file_in_a_config_that_is_named(my_data: str, run, tiny: str) -> None:
    Path("my.yaml").write_text(f"data: {{dataset: {my_data}, batch_size: 5}}\nsampling: {{prompts: ['']}}\n")
    status, _, err = run(f"fit --config {tiny} --config my.yaml")
    assert status == 0, err
    status, _, err = run(f"fit --config {RUN}/config.yaml")
    assert status == 0, err


@pytest.mark.parametrize("verb", ["validate", "test", "predict", "fit"])
@pytest.mark.parametrize("alone", [False, True])
def test_a_checkpoint_runs_no_file_until_it_is_typed(alone: bool, verb: str, my_data: str, run, tiny: str) -> None:
    """Neither the checkpoint itself nor the configuration of its run; then the rest of them holds."""
    run(f"fit --config {tiny} --data.dataset {my_data} --data.dataset_args.words [x,7]")
    place = str(RUN)
    if alone:
        Path("x.ckpt").write_bytes((RUN / "checkpoints" / "last.ckpt").read_bytes())
        place = "x.ckpt"
    registry.ALLOWED.clear()
    sys.modules.pop("my_data")
    more = "--trainer.max_steps 4 --model.embedding_size 5 --model.hidden_size 6" if verb == "fit" else ""
    status, _, err = run(f"{verb} --ckpt_path {place} {more}")
    assert (status, err.splitlines()) == (
        2,
        [
            "lightseq: dataset './my_data.py:MyData' is a file, whose code runs only where you name it yourself: "
            "--data.dataset ./my_data.py:MyData (from Python: lightseq.registry.allow_file)"
        ],
    )
    assert "my_data" not in sys.modules
    status, _, err = run(f"{verb} --ckpt_path {place} --data.dataset {my_data} {more}")
    assert status == 0, err


BAD_FILES = {
    "./my_data.py": "./my_data.py is a file: say which class of it, as in ./my_data.py:MyData",
    "./nope.py:MyData": "no file at './nope.py'",
    "./my_data.py:MyDat": "./my_data.py has no class 'MyDat'; did you mean 'MyData'? It has: MyData, MyOther",
    "./my_data.py:rows": "./my_data.py has no class 'rows'. It has: MyData, MyOther",
    "./my_data.py:": "./my_data.py has no class ''. It has: MyData, MyOther",
    "./json.py:MyData": "./json.py cannot be imported, for 'json' is the name of another module: rename the file",
    "./tabnanny.py:MyData": "'tabnanny' is the name of another module: rename the file",
    "./my.data.py:MyData": "./my.data.py cannot be imported, for 'my.data' is no name for a module: rename the file",
    "./syntax.py:MyData": "./syntax.py is broken: it raises SyntaxError: ",
    "./leaves.py:MyData": "./leaves.py is broken: it raises SystemExit: bye",
    "./plain.py:MyData": "dataset './plain.py:MyData' is broken: MyData is no lightseq.data.TextDataset",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_dataset(name: str, my_data: str, run, tiny: str) -> None:
    texts = {"json": "", "tabnanny": "", "my.data": "", "syntax": "def f(:", "leaves": "exit('bye')"}
    for stem, text in {**texts, "plain": "class MyData: pass"}.items():
        Path(f"{stem}.py").write_text(text)
    before = sorted(Path().iterdir())
    status, out, err = run(f"fit --config {tiny} --data.dataset {name}")
    assert (status, out, len(err.splitlines()) - err.count("dropped")) == (2, "", 1)
    assert BAD_FILES[name].removeprefix("dataset ") in err
    assert [path for path in sorted(Path().iterdir()) if path.name != "__pycache__"] == before
    assert "syntax" not in sys.modules


def test_a_backbone_is_no_file(my_data: str, run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} --model.backbone {my_data}")
    assert status == 2
    assert "a backbone enters as an installed package, an entry point of lightseq.backbones" in err


def test_a_file_from_python(my_data: str) -> None:
    with pytest.raises(UserError, match=r"lightseq\.registry\.allow_file"):
        SequenceData(my_data)
    registry.allow_file(my_data)
    data = SequenceData(my_data)
    assert len(data.store.digests) == 8
    assert registry.load(registry.DATASETS, my_data) is type(data.dataset)
    words = [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer).documents()[7])"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # which a spawned process is given
    done = subprocess.run(
        words, input=pickle.dumps(data.dataset), env=environment, capture_output=True, cwd="/", check=False
    )
    assert done.stdout == b"abb\n", done.stderr


def bare(run, tiny: str, **settings: Any) -> str:
    """A checkpoint alone, of dinos, with other settings of its data."""
    run(f"fit --config {tiny}")
    content = torch.load("runs/dinos/version_0/checkpoints/last.ckpt", weights_only=True)
    content["datamodule_hyper_parameters"].update(settings)
    torch.save(content, "x.ckpt")
    return "x.ckpt"


def test_a_checkpoint_alone_opens_nothing(run, tiny: str, plugin) -> None:
    code = GOOD.replace("documents(self):", "documents(self):\n        open(self.path).close()")
    plugin("colours", "lightseq.datasets", {"colours": "colours_open:Colours"}, code)
    place = bare(run, tiny, dataset="colours", dataset_args={"path": "secret.txt", "times": "3"})
    Path("secret.txt").touch()
    status, _, err = run(f"validate --ckpt_path {place}")
    assert (status, err.splitlines()) == (
        2,
        [
            "lightseq: x.ckpt names what to read, and a checkpoint alone opens nothing: type "
            "--data.dataset_args.path 'secret.txt'"
        ],
    )
    status, out, err = run(f"validate --ckpt_path {place} --data.dataset_args.path secret.txt")
    assert status == 0, err
    assert "val/loss" in out
    status, _, err = run(f"validate --ckpt_path {place} --data.dataset dinos")
    assert status == 0, err


@pytest.mark.parametrize("name", ["path", "train_path", "paths", "url", "folder", "own_file"])
def test_which_arguments_name_a_place(name: str) -> None:
    assert NAMES_A_PLACE.fullmatch(name)
    assert not NAMES_A_PLACE.fullmatch(f"{name}_encoding")


def test_a_checkpoint_names_no_code(run, tiny: str, plugin) -> None:
    """What looks like a class of jsonargparse's in the arguments of a dataset or a backbone is not even imported."""
    plugin("trap", "lightseq.datasets", {"trap": "trap_plugin:Trap"}, "raise SystemExit('imported')")
    trap = {"x": {"class_path": "trap_plugin.Trap", "init_args": {"a": 1}}}
    status, _, err = run(f"validate --ckpt_path {bare(run, tiny, dataset_args=trap)}")
    assert (status, err) == (2, "lightseq: 'dinos' has no argument 'x'. It takes: source, path, distinct\n")
    content = torch.load("runs/dinos/version_0/checkpoints/last.ckpt", weights_only=True)
    content["hyper_parameters"]["backbone_args"] = trap
    torch.save(content, "y.ckpt")
    for words in ("validate --ckpt_path y.ckpt", "sample y.ckpt"):
        status, _, err = run(words)
        assert status == 2
        assert err.startswith("lightseq: 'lstm' has no argument 'x'. It takes: input_dropout, ")
    assert "trap_plugin" not in sys.modules


@pytest.mark.parametrize("value", ["007", "yes", "1e3", "2024-01-01"])
def test_an_argument_stays_as_it_is_written_all_the_way(value: str, run, tiny: str, plugin) -> None:
    code = GOOD.replace("return [", "return [self.path, ").replace("] *", ", 'e', 'f', 'g'] *")
    plugin("colours", "lightseq.datasets", {"colours": "colours_text:Colours"}, code)
    Path("my.yaml").write_text(f"data: {{dataset: colours, dataset_args: {{path: {value}}}}}\n")
    status, _, err = run(f"fit --config {tiny} --config my.yaml --trainer.fast_dev_run true")
    assert status == 0, err
    status, _, err = run(f"fit --config {tiny} --data.dataset colours --data.dataset_args.path {value}")
    assert status == 0, err
    settings = torch.load("runs/colours/version_0/checkpoints/last.ckpt", weights_only=True)
    assert settings["datamodule_hyper_parameters"]["dataset_args"] == {"path": value}
    assert set(value) <= set(settings["hyper_parameters"]["vocabulary"])

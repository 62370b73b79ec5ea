from collections.abc import Callable

import pytest

from lightseq import registry
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
    with pytest.raises(UserError, match=r"no backbone called 'zzz'\. Installed: gru, lstm, rnn"):
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
    ],
)
def test_a_broken_plugin_breaks_only_itself(plugin, code: str, target: str, message: str, run) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": f"rotten_plugin:{target}"}, code)
    with pytest.raises(UserError, match=f"'rotten' of rotten is broken: rotten_plugin:{target} {message}"):
        registry.load(registry.DATASETS, "rotten")
    assert registry.load(registry.DATASETS, "dinos").__name__ == "Dinos"
    status, out, _ = run("datasets --load")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["dinos", "rotten"]
    assert "broken: 'rotten:rotten'" in out.splitlines()[1]


def test_listing_imports_nothing(plugin, run) -> None:
    plugin("rotten", "lightseq.datasets", {"rotten": "rotten_plugin:Rotten"}, "raise SystemExit('imported')")
    status, out, _ = run("datasets")
    assert status == 0
    assert "rotten  rotten 1.0" in out


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
    with pytest.raises(UserError, match=r"'lstm' has no argument 'hidden_size'\. It takes: none"):
        registry.convert(registry.BACKBONES, "lstm", {"hidden_size": 3})

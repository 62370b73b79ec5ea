"""The tables of ``lightseq compare``."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..callbacks import markup
from .compare import Run, Showing

SCORED_ON = ("dataset", "dataset_args", "val_fraction", "test_fraction", "fold", "split_seed", "tokens")
"""Settings under ``data`` that say which text the losses are of, and what a token is."""

DECIMALS = {"seconds": 1}
"""Of a number that is not whole, where four would be too many."""

NOTHING = "-"


def lines(runs: Sequence[Run]) -> Iterator[str]:
    """The numbers, the settings that differ, and the samples of equal prompt and temperature, a column a run that has
    them; then what is missing. As wide as the terminal, 80 columns where there is none."""
    common, names = shared_folder([run.place for run in runs])
    yield f"in {markup.plain(common)}:"
    named = list(zip((name.replace("/", "/\n") for name in names), runs, strict=True))
    changed = differences([run.settings for run in runs if run.settings])
    yield from _numbers({name: run.results for name, run in named if run.results})
    scored = [key for key in changed if any(f"{key}.".startswith(f"data.{name}.") for name in SCORED_ON)]
    if scored:
        yield f"what is scored is not the same ({scored[0]} differs): losses do not compare, the rest does"
    known = [name for name, run in named if run.settings]
    if len(known) > 1:
        rows = [[key, *row] for key, row in changed.items()]
        yield from _table("settings that differ", ["", *known], rows) if rows else ("", "no setting differs")
    yield from _samples({name: run.showing for name, run in named if run.showing.texts})
    notes = [note for run in runs for note in run.notes]
    yield from ["", *(markup.plain(f"note  {note}") for note in notes)] if notes else []


def shared_folder(places: Sequence[str]) -> tuple[str, list[str]]:
    """The deepest folder that has all the runs in it, and the runs' names from there."""
    paths = [os.path.abspath(place) for place in places]
    common = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    here = common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common
    return str(here), [os.path.relpath(path, common) for path in paths]


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By the key of a setting that is not the same in all of them: what each says, ``-`` where it says nothing, which
    is the same as null. Section by section."""
    sections = list(dict.fromkeys(key.partition(".")[0] for values in settings for key in values))
    keys = dict.fromkeys(key for values in settings for key in values)
    found = {
        key: [_value(values[key]) if key in values else NOTHING for values in settings]
        for key in sorted(keys, key=lambda key: sections.index(key.partition(".")[0]))
    }
    return {key: row for key, row in found.items() if len({NOTHING if cell == "null" else cell for cell in row}) > 1}


def _numbers(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if results:
        keys = dict.fromkeys(key for values in results.values() for key in values)
        rows = [[key, *(_number(key, values.get(key)) for values in results.values())] for key in keys]
        yield from _table("", ["", *results], rows, justify="right")


def _samples(showings: Mapping[str, Showing]) -> Iterator[str]:
    """A table a prompt; in it a row for each temperature and number that two runs have at least."""
    texts = [showing.texts for showing in showings.values()]
    keys = [key for key, runs in Counter(key for own in texts for key in own).items() if runs > 1]
    if len(texts) > 1 and not keys:
        yield from ("", "no prompt and temperature was shown by two of the runs")
    header = ["T", *(f"{name}\nupdate {showing.update}" for name, showing in showings.items())]
    for prompt in dict.fromkeys(prompt for prompt, _, _ in keys):
        rows = [
            [f"{temperature:.2f}", *(own.get((prompt, temperature, number), NOTHING) for own in texts)]
            for other, temperature, number in keys
            if other == prompt
        ]
        yield from _table(f"prompt {prompt!r}", header, rows, box=box.MINIMAL, expand=True)


def _table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    justify: Literal["left", "right"] = "left",
    **layout: Any,
) -> Iterator[str]:
    """Lines of a table, each cell as it is: no markup of rich's, and nothing that a terminal obeys."""
    grid = Table(**{"box": None, "padding": (0, 1), "pad_edge": False, "show_edge": False, **layout})
    grid.show_lines = any("\n" in cell for row in rows for cell in row)
    grid.add_column(header[0], no_wrap=True)
    for word in header[1:]:
        grid.add_column(Text(markup.plain(word)), overflow="fold", ratio=1, justify=justify)
    for row in rows:
        grid.add_row(*(Text(markup.plain(cell)) for cell in row))
    console = Console(highlight=False)
    with console.capture() as shown:
        console.print(grid)
    yield from ["", *[markup.plain(title)] * bool(title), *(line.rstrip() for line in shown.get().splitlines())]


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _number(key: str, value: Any) -> str:
    if value is None:
        return NOTHING
    return f"{value:.{DECIMALS.get(key, 4)}f}" if isinstance(value, float) else _value(value)

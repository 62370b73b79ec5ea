"""What a size costs: seconds and memory against the size of the text, and of a training step against its settings.

    python benchmarks/scale.py --plot scale.svg       # up to 1 GB of text; about ten minutes
    python benchmarks/scale.py --largest 10GB --folder /scratch

The text is made up: lines of ten words, no two of them alike, frequent and rare ones as in any language. It is read as
one stream, and up to 1 GB as a document a line. Each measurement is a process of its own, its memory looked at from
outside: what it holds, and beside it pages of files, which the system may drop at any time. Slopes are fitted to
logarithms, above 10 MB of text: 1 is linear, 0 is flat. The plot needs matplotlib.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from costs import IMPORTS, encoded, run, trained, write_text
from resident import Watched
from runs import machine

MB = 1_000_000
UNITS = {"MB": MB, "GB": 1000 * MB}
MOST_DOCUMENTS = 1000 * MB
"""Bytes of the largest text that is read as documents."""
BASE = {"rows": 32, "window": 64, "hidden": 128, "processes": 1}
SWEEPS = {
    "rows": (8, 32, 128, 512),
    "window": (16, 64, 256, 1024),
    "hidden": (64, 128, 256, 512),
    "processes": (1, 2),
}
"""Settings that are changed one by one."""
LESS = ["--sampling.every_n_steps", "0", "--inside.enabled", "false", "--trainer.limit_val_batches", "1"]
LESS += ["--trainer.precision", "32-true", "--trainer.max_steps", "120", "--trainer.val_check_interval", "120"]
"""Where settings are compared, what is not trained is left out, the precision is the same for all, and there are more
updates, for the machine is not the same from one to the next."""
HEAD = (
    "| text | read as | encoded, s | of a core, s | MB/s | held, MB | pages, MB "
    "| opened, s | a batch, us | held, MB | pages, MB "
    "| first update of a fit, s | tokens/s | held, MB | pages, MB |"
)


def by_size(folder: Path, largest: int) -> dict[str, dict[int, dict[str, Any]]]:
    """What each text costs, by layout and bytes; a line of the table as soon as it is known."""
    print(HEAD)
    print("|---" * HEAD.count(" | ") + "|---|")
    found: dict[str, dict[int, dict[str, Any]]] = {"stream": {}, "line": {}}
    for size in [size for size in (MB, 10 * MB, 100 * MB, 1000 * MB) if size < largest] + [largest]:
        path = folder / "text.txt"
        write_text(path, size)
        for by in found if size <= MOST_DOCUMENTS else ["stream"]:
            found[by][size] = entry = encoded(path, by) | trained(path, by, BASE)
            shutil.rmtree(folder / "cache")
            print(size_line(size, by, entry), flush=True)
    return found


def size_line(size: int, by: str, entry: Mapping[str, Any]) -> str:
    """A line of the first table."""
    seconds = entry["seconds"]
    spread = f" ({min(seconds):.2f} to {max(seconds):.2f})" if len(seconds) > 1 else ""
    documents = f" of {entry['documents']:,}" if by == "line" else ""
    cells = [in_words(size), by + documents, f"{median(seconds):.2f}{spread}", f"{median(entry['busy']):.2f}"]
    cells += [f"{size / MB / median(seconds):.0f}"]
    cells += [*memory(entry["encode"]), f"{entry['opened']:.2f}", f"{1e6 * entry['batch']:.1f}", *memory(entry["read"])]
    cells += [f"{entry['first']:.1f}", f"{entry['rate']:,.0f}", *memory(entry["fit"])]
    return f"| {' | '.join(cells)} |"


def memory(done: Watched) -> tuple[str, str]:
    """Two cells of a table: what was held, and the pages."""
    return f"{done.held / MB:,.0f}", f"{done.pages / MB:,.0f}"


def by_setting(folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Trainings on one text with one setting after another changed."""
    path = folder / "text.txt"
    write_text(path, 10 * MB)
    print("\n| rows | window | hidden | processes | an update, ms | tokens/s | held, MB | pages, MB |")
    print("|---" * 8 + "|")
    found: dict[str, dict[int, dict[str, Any]]] = {}
    base = None
    for name, values in SWEEPS.items():
        found[name] = {}
        for value in values:
            entry = base if base and value == BASE[name] else trained(path, "stream", BASE | {name: value}, *LESS)
            found[name][value] = entry
            base = entry if value == BASE[name] else base
            cells = [
                *map(str, (BASE | {name: value}).values()),
                f"{1000 * entry['update']:.1f}",
                f"{entry['rate']:,.0f}",
            ]
            print(f"| {' | '.join([*cells, *memory(entry['fit'])])} |", flush=True)
    return found


def in_words(size: float) -> str:
    """Bytes as they are said."""
    return f"{size / UNITS['GB']:g} GB" if size >= UNITS["GB"] else f"{size / MB:g} MB"


def slope(points: Mapping[int, float], least: float = 0) -> float:
    """Of a line through the logarithms."""
    chosen = {x: y for x, y in points.items() if x >= least}
    return float(np.polyfit(np.log(list(chosen)), np.log(list(chosen.values())), 1)[0]) if len(chosen) > 1 else np.nan


def curves(sizes: Mapping[str, Mapping[int, Any]], settings: Mapping[str, Mapping[int, Any]]) -> dict[str, Any]:
    """What is drawn, by panel and name: the points, and their slope."""
    panels: dict[str, Any] = {"encoding, s": {}, "held, MB": {}, "to the first update, s": {}, "an update, ms": {}}
    for by, entries in sizes.items():
        panels["encoding, s"][by] = {size: median(e["seconds"]) for size, e in entries.items()}
        panels["encoding, s"][f"{by}, of a core"] = {size: median(e["busy"]) for size, e in entries.items()}
        panels["to the first update, s"][by] = {size: e["first"] for size, e in entries.items()}
        for what in ("encode", "read", "fit"):
            panels["held, MB"][f"{what}, {by}"] = {size: e[what].held / MB for size, e in entries.items()}
    for name, entries in settings.items():
        panels["an update, ms"][name] = {value: 1000 * e["update"] for value, e in entries.items()}
    return {
        title: {
            name: (points, slope(points, 0 if title == "an update, ms" else 10 * MB)) for name, points in own.items()
        }
        for title, own in panels.items()
    }


def plot(panels: Mapping[str, Any], file: Path) -> None:
    """Four panels, logarithms on both sides."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    plt.rcParams.update({"svg.fonttype": "none", "font.size": 8})
    figure, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    for axis, (title, own) in zip(axes.flat, panels.items(), strict=True):
        for name, (points, fitted) in own.items():
            x = [value / BASE[name] for value in points] if name in BASE else list(points)
            axis.plot(x, list(points.values()), marker="o", markersize=3, label=f"{name}: slope {fitted:.2f}")
        axis.set(xscale="log", yscale="log", ylabel=title)
        axis.set_xlabel("times 32 rows, window 64, hidden 128, 1 process" if "update, ms" in title else "bytes of text")
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(file)


def bytes_of(words: str) -> int:
    """``10GB`` as a number."""
    match = re.fullmatch(r"([0-9.]+) ?(MB|GB)", words)
    if match is None:
        raise argparse.ArgumentTypeError(f"{words!r} is no size; 100MB and 10GB are")
    return int(float(match[1]) * UNITS[match[2]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=bytes_of, default="1GB", help="text, as in 100MB or 10GB; default 1GB")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's temporary one")
    parser.add_argument("--plot", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    if arguments.plot:
        import_module("matplotlib.pyplot")  # where it is missing, that is known now and not at the end
    # the text and its store; of documents that has 18 bytes of each beside
    need = max(2 * arguments.largest, 2.4 * min(arguments.largest, MOST_DOCUMENTS)) + 200 * MB
    place = arguments.folder or Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free if place.is_dir() else 0
    print(f"{machine()}; needs {in_words(round(need, -8))} in {place} for a while\n")
    if free < need:
        raise SystemExit(f"{place} has {in_words(round(free, -8))} free, or is no folder; --largest takes less")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so clears up
    with tempfile.TemporaryDirectory(dir=place) as name:
        alone = memory(run(IMPORTS, Path(name)))
        sizes = by_size(Path(name), arguments.largest)
        settings = by_setting(Path(name))
    print(f"\nOf what is held the imports have {alone[0]} MB, of the pages {alone[1]}.")
    for title, own in (panels := curves(sizes, settings)).items():
        print(f"slope of {title}:", ", ".join(f"{name} {fitted:.2f}" for name, (_, fitted) in own.items()))
    size, entry = max(sizes["line"].items())
    for what in ("read", "fit"):
        more = (entry[what].held - sizes["stream"][size][what].held) / entry["documents"]
        print(f"{what}: {more:.0f} bytes a document more than a stream of {in_words(size)}")
    if arguments.plot:
        plot(panels, arguments.plot)


if __name__ == "__main__":
    main()

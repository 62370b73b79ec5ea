"""Load altered checkpoints and run folders with every command, and report what they touched.

Run as a script in an empty folder with an honest run in ``honest``; it prints one JSON object. Python's audit hooks
cannot be removed, so that this has a process of its own.
"""

import contextlib
import io
import itertools
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch

from lightseq import cli

OUTSIDE = Path("outside")
"""Files that altered checkpoints and configurations name; none may be opened or removed."""

COMMANDS = (
    "sample {run} --n 1 --length 5",
    "sample {run} --n 1 --length 5 --novel",
    "inspect {run} --text tri",
    "inspect {run}",
    "validate --ckpt_path {run}",
    "predict --ckpt_path {run}",
    "compare {run} honest",
    "fit --resume {run} --trainer.max_steps 4 --resume_with_changes true",
    "fit --ckpt_path {run} --trainer.max_steps 4 --trainer.default_root_dir {own}",
    "fit --config dinos --init_from {run} --trainer.max_steps 1 --trainer.default_root_dir {own}",
    "fit --ckpt_path {run} --print_config",
)

CONFIGURED = tuple(COMMANDS[index] for index in (1, 4, 7, 8, 10))
"""Those that read a run's configuration, one of each kind."""

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 10**40, 0.5, float("nan"), "", "x", str(OUTSIDE / "kept.ckpt"), [], ["a"], [["a"]], {},
    {"a": 1}, {"class_path": "planted.Planted"}, torch.zeros(2), torch.zeros(1).expand(10**11),
)  # fmt: skip
"""Values put in the place of others."""

events: list[str] = []
watched: list[str] = []
"""The command that is being run; empty between two trials."""


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not watched:
        return
    if event == "import" and str(arguments[0]).partition(".")[0] == "planted":
        events.append(f"import {arguments[0]}")
    elif event in ("open", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.truncate"):
        for name in (value for value in arguments if isinstance(value, str | bytes | os.PathLike)):
            if OUTSIDE.name in Path(os.fsdecode(name)).parts:
                events.append(f"{event} {os.fsdecode(name)}")
    elif event in ("socket.connect", "subprocess.Popen", "os.system"):
        events.append(f"{event} {arguments[1:2]!r}")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys to every value in nested dicts and lists; of long lists the first two."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from places(inner, (*path, index))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return nested content with another value at one place."""
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


def altered(dice: Random, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield what is altered, and a function that alters a run folder."""
    file = Path("checkpoints/last.ckpt")
    honest = torch.load("honest" / file, weights_only=True)
    everywhere = list(places(honest))
    settings = [path for path in everywhere if path[0] in ("hyper_parameters", "datamodule_hyper_parameters")]
    outside = str(OUTSIDE / "kept.ckpt")
    states = [path for path in everywhere if path[0] == "callbacks" and len(path) == 3]

    def with_content(content: Any) -> Callable[[Path], None]:
        return lambda run: torch.save(content, run / file)

    for path in states:
        state = {**honest["callbacks"][path[1]], "best_model_path": outside, "kth_best_model_path": outside}
        state |= {"best_k_models": {outside: torch.tensor(9.0)}, "last_model_path": outside, "dirpath": "outside"}
        yield "paths of callbacks", with_content(replaced(honest, path[:2], state))
    for text in CONFIGURATIONS:
        yield text, lambda run, text=text: configure(run, text)  # type: ignore[misc]
    for name in ("samples.jsonl", "samples.md", "checkpoints", "config.yaml", "results.json"):
        yield f"link {name}", lambda run, name=name: link(run / name)  # type: ignore[misc]
    for path, value in itertools.islice(itertools.product(settings, ODD), 0, None, 7):
        yield f"{path} {type(value).__name__}", with_content(replaced(honest, path, value))
    for _ in range(count):
        path, value = dice.choice(everywhere), dice.choice(ODD)
        yield f"{path} {type(value).__name__}", with_content(replaced(honest, path, value))


CONFIGURATIONS = (
    "trainer: {callbacks: [{class_path: planted.Planted}]}",
    "trainer: {callbacks: planted.Planted}",
    "trainer: {logger: {class_path: planted.Planted}}",
    "trainer: {logger: {class_path: pytorch_lightning.loggers.CSVLogger, init_args: {save_dir: outside}}}",
    "trainer: {profiler: {class_path: planted.Planted}}",
    "trainer: {plugins: [{class_path: planted.Planted}]}",
    "trainer: {strategy: {class_path: planted.Planted}}",
    "trainer: {default_root_dir: outside}",
    "checkpoint: {dirpath: outside}",
    "checkpoint: {filename: ../../../../outside/best}",
    "data: {dataset: text, dataset_args: {path: outside/kept.txt}}",
    "data: {dataset: ./outside/planted.py:Planted}",
    "config: outside/kept.yaml",
    "data: outside/kept.yaml",
)
"""Put at the end of a run's configuration."""


def configure(run: Path, text: str) -> None:
    import yaml

    file = run / "config.yaml"
    values = yaml.safe_load(file.read_text())
    for group, inner in yaml.safe_load(text).items():
        values[group] = {**(values.get(group) or {}), **inner} if isinstance(inner, dict) else inner
    file.write_text(yaml.safe_dump(values))


def link(path: Path) -> None:
    """Put a link to something outside in the place of a part of a run folder."""
    if path.is_dir():
        shutil.rmtree(path)
        path.symlink_to(OUTSIDE.absolute())
    else:
        path.unlink(missing_ok=True)
        path.symlink_to((OUTSIDE / "kept.txt").absolute())


def attempt(command: str, run: Path) -> tuple[int, str]:
    """Run a command on a run folder; return its status and standard error."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            status = cli.main(command.format(run=run, own=run.parent / "new").split())
        except BaseException as error:
            return -1, f"{type(error).__name__}: {error}"
    return status, err.getvalue()


def main() -> None:
    dice, wrong = Random(0), list[str]()
    fresh = Path("trial")
    for command in COMMANDS:
        shutil.copytree("honest", fresh / "run")
        status, err = attempt(command, fresh / "run")
        if status:
            wrong.append(f"honest: {command}: {status} {err}")
        shutil.rmtree(fresh)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.addaudithook(hook)
    trials = 0
    for (what, alter), command in zip(altered(dice, int(sys.argv[1])), itertools.cycle(COMMANDS), strict=False):
        several = (
            COMMANDS if what.startswith(("paths", "link")) else CONFIGURED if what in CONFIGURATIONS else [command]
        )
        for typed in several:
            shutil.copytree("honest", fresh / "run")
            alter(fresh / "run")
            trials += 1
            print(len(wrong), what, typed, file=sys.stderr, flush=True)
            watched.append(typed)
            status, err = attempt(typed, fresh / "run")
            watched.clear()
            if status not in (0, 1, 2) or "Traceback" in err or (status == 2 and (len(err) > 400 + 12)):
                wrong.append(f"{what}: {typed}: {status} {err[-300:]}")
            wrong += [f"{what}: {typed}: {event}" for event in events]
            events.clear()
            shutil.rmtree(fresh)
    kept = sorted(path.name for path in OUTSIDE.iterdir())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before
    print(json.dumps({"trials": trials, "wrong": wrong, "kept": kept, "memory": grown}))


if __name__ == "__main__":
    main()

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
from types import FrameType
from typing import Any

import lightseq.callbacks
import lightseq.configs
import lightseq.datasets
import torch

from lightseq import cli

OUTSIDE = Path("outside")
"""Files that altered checkpoints and configurations name; none may be opened or removed."""

MOST = 412
"""Characters of a refusal, with the note before it that a file was passed over."""

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

FRESH = Path("trial")
"""The folder of a trial: an altered run in ``run``, and what a command begins anew in ``new``."""

TOUCHING = ("open", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate",
            "shutil.rmtree", "shutil.move", "shutil.copyfile")  # fmt: skip
"""Events about files; of most of them the first two arguments may be names."""

RUNNING = ("exec", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen", "socket.connect", "ctypes.dlopen")
"""Events about code that is run, and about connections."""


class Watch:
    """An audit hook: what honest runs do is usual, and what altered ones do beyond that is written down."""

    def __init__(self) -> None:
        self.usual = set[str]()
        self.events: list[str] = []
        self.state = "off"
        packages = (lightseq, lightseq.callbacks, lightseq.configs, lightseq.datasets)
        code = (str(Path(package.__file__ or "").parent) for package in packages)
        self.allowed = (str(FRESH.absolute()), sys.prefix, sys.base_prefix, *code)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.state == "off":
            return
        state, self.state = self.state, "off"  # to look at a path may raise events itself
        for done in self.described(event, arguments):
            if state == "learn":
                self.usual.add(done)
            elif done not in self.usual:
                self.events.append(done)
        self.state = state

    def described(self, event: str, arguments: tuple[Any, ...]) -> Iterator[str]:
        """Yield what an event does outside of the trial's folder and the installed packages."""
        if event == "import" and str(arguments[0]).partition(".")[0] == "planted":
            yield f"import {arguments[0]}"
        elif event in RUNNING:
            if event != "exec" or not self.is_allowed(arguments[0].co_filename):
                yield f"{event} {str(arguments[:2])[:200]}"
        elif event in TOUCHING and not (within_rmtree() and event != "shutil.rmtree"):
            for name in (value for value in arguments[:2] if isinstance(value, str | bytes | os.PathLike)):
                if not self.is_allowed(os.fsdecode(name)):
                    yield f"{event} {os.path.realpath(os.fsdecode(name))}"

    def is_allowed(self, name: str) -> bool:
        return name.startswith("<") or os.path.realpath(name).startswith(self.allowed)


def within_rmtree() -> bool:
    """Return whether ``shutil.rmtree`` is at work, which takes names relative to open folders."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and "rmtree" not in frame.f_code.co_name.replace("within_rmtree", ""):
        frame = frame.f_back
    return frame is not None


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
    for path, value in itertools.islice(itertools.product(settings, ODD), 0, None, 11):
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
        except SystemExit as end:  # of --print_config
            status = int(end.code or 0)
        except BaseException as error:
            return -1, f"{type(error).__name__}: {error}"
    return status, err.getvalue()


def trial(command: str, alter: Callable[[Path], None], watch: Watch, state: str) -> tuple[int, str]:
    """Run a command on an altered copy of the honest run."""
    shutil.copytree("honest", FRESH / "run")
    alter(FRESH / "run")
    watch.state = state
    done = attempt(command, FRESH / "run")
    watch.state = "off"
    shutil.rmtree(FRESH)
    return done


def main() -> None:
    wrong = list[str]()
    trials = 0
    watch = Watch()
    sys.addaudithook(watch)
    for command in COMMANDS * 2:  # the first time more is imported
        status, err = trial(command, lambda run: None, watch, "learn")
        if status:
            wrong.append(f"honest: {command}: {status} {err}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for (what, alter), command in zip(altered(Random(0), int(sys.argv[1])), itertools.cycle(COMMANDS), strict=False):
        every = what.startswith(("paths", "link"))
        for typed in COMMANDS if every else CONFIGURED if what in CONFIGURATIONS else [command]:
            trials += 1
            print(len(wrong), what, typed, file=sys.stderr, flush=True)
            status, err = trial(typed, alter, watch, "watch")
            if status not in (0, 1, 2) or "Traceback" in err or (status == 2 and len(err) > MOST):
                wrong.append(f"{what}: {typed}: {status} {err[-300:]}")
            wrong += [f"{what}: {typed}: {event}" for event in watch.events]
            watch.events.clear()
    kept = sorted(path.name for path in OUTSIDE.iterdir())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before
    print(json.dumps({"trials": trials, "wrong": wrong, "kept": kept, "memory": grown}))


if __name__ == "__main__":
    main()

"""The input of a trial: files in the current folder, and the words of a command. The same seed makes the same."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from lightseq.config import recipes

from .material import PACKERS, RUNS, SMALL
from .mutations import NUMBERS, PLACES, UNICODE, changed, odd_text, odd_value
from .structures import document

Words = list[str]

READS = {"dinos": None, "dino_clades": None, "names": "names.txt", "text": "text.txt", "shakespeare": None}
READS |= {"labelled": "labelled.tsv", "abc": "tunes.abc"}
"""By recipe, the text that stands for its own."""

LONG = {"trainer.min_steps", "trainer.min_epochs", "trainer.max_steps", "trainer.max_time", "trainer.max_epochs"}
"""Settings that may ask for a training that takes long, and get it."""

FLAGS = {
    "sample": "--temperature --prompt --n --length --top-k --top-p --seed --save --data.dataset --data.dataset_args "
    "--data.dataset_args.path",
    "inspect": "--text --document --label --html --temperature --top --gates --layer --data.dataset_args.path",
    "compare": "",
    "board": "--port",
    "sweep": "--seeds --config --ckpt_path",
    "verify-resume": "--updates --stop --keep --config",
    "datasets check": "--path --data.window --val_fraction --encoding --batch_size --fold --nosuch",
    "datasets new": "--folder",
    "datasets": "",
    "configs": "",
    "validate": "--ckpt_path --data.batch_size --data.window --config --data.dataset_args.path --trainer.logger",
    "test": "--ckpt_path --data.batch_size --data.val_lanes",
    "predict": "--ckpt_path --data.window --trainer.devices",
    "fit": "",
}
"""What the commands take. ``fit`` takes the settings of ``keys.json``."""

SWITCHES = {"sample": ("--novel", "--valid-bars"), "datasets": ("--load",)}

ENDLESS = ("sweep", "verify-resume")
"""Commands that take long where nothing is wrong: theirs are always given something wrong."""


def make(kind: str, seed: int, number: int, material: Path) -> tuple[Words, dict[str, str]]:
    """Write the files of a trial into the current folder.

    Args:
        kind: One of ``KINDS``.
        seed: Of all trials.
        number: Of this one.
        material: As ``material.prepare`` leaves it.

    Returns:
        The words of the command, and environment variables.
    """
    random = Random(f"{seed}:{kind}:{number}")
    made = KINDS[kind](random, material)
    words, environment = made if isinstance(made, tuple) else (made, {})
    return [word.replace("\0", "") for word in words], environment


def _configuration(random: Random, material: Path) -> Words:
    """A recipe with changed bytes, or with odd keys and values."""
    recipe = random.choice(list(READS))
    text = recipes()[recipe]
    if random.random() < 0.5:
        content = changed(text.encode(), random)
    else:
        lines = text.splitlines()
        for _ in range(random.choice((1, 1, 2, 4))):
            place = random.randrange(len(lines))
            key, colon, value = lines[place].partition(":")
            new = (odd_text(random), value) if random.random() < 0.3 else (key, f" {odd_text(random)}")
            lines[place] = f"{new[0]}{colon}{new[1]}"
        content = "\n".join(lines).encode("utf-8", "surrogatepass")
    Path("my.yaml").write_bytes(content)
    return _fit(random, "my.yaml", recipe, material)


def _fit(random: Random, config: str, recipe: str, material: Path) -> Words:
    """A short fit. Half of the flags that make it small are left out where the configuration's own are small."""
    small = [flag for flag in SMALL if not flag.startswith(("--model.", "--data.")) or random.random() < 0.7]
    if recipe in ("shakespeare", "text", "abc") and "--model.hidden_size=6" not in small:
        small.append("--model.hidden_size=6")
    file = READS.get(recipe)
    words = ["fit", f"--config={config}", *small]
    if recipe == "shakespeare":
        words += ["--data.dataset=text", f"--data.dataset_args.path={material / 'text.txt'}"]
    return words + ([f"--data.dataset_args.path={material / file}"] if file else [])


def _structure(random: Random, material: Path) -> Words:
    """YAML that no person writes: nested, repeated by aliases, with odd keys and tags."""
    text = document(random)
    place = random.choice(("", "data", "model", "data.dataset_args", "sampling.prompts", "trainer.callbacks", "run"))
    if place == "run":
        run = _copy_of_run(random, material)
        (run / "config.yaml").write_text(text, errors="surrogatepass")
        other = material / "runs" / "text" / "version_0"
        commands = [
            ["compare", str(run), str(other)],
            ["validate", f"--ckpt_path={run}"],
            ["sample", str(run), "--novel"],
        ]
        commands += [["inspect", str(run)], ["fit", f"--resume={run}"], ["predict", f"--ckpt_path={run}"]]
        return random.choice(commands)
    if random.random() < 0.3 and place:
        return ["fit", "--config=dinos", *SMALL, f"--{place}={text}"]
    for key in reversed(place.split(".") if place else []):
        text = f"{key}:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    head = "" if place.startswith("data") else "data: {dataset: dinos}\n"
    Path("my.yaml").write_text(head * (random.random() < 0.8) + text, errors="surrogatepass")
    return ["fit", "--config=my.yaml", *SMALL]


def _command(random: Random, material: Path) -> tuple[Words, dict[str, str]]:
    """Any command with odd words, in an odd folder, at an odd terminal."""
    _odd_things()
    command = random.choice(list(FLAGS))
    words = command.split()
    flags = FLAGS[command].split()
    if command == "fit":
        keys = [f"--{key}" for key in json.loads((material / "keys.json").read_text()) if key not in LONG]
        dataset = random.choice(["dinos", "names", "text", "labelled", "abc"])
        words += [*_fit(random, dataset, dataset, material)[1:], *_odd_flags(random, keys, 1)]
    elif command in ("validate", "test", "predict"):
        words += [f"--ckpt_path={_place(random, material)}", *_odd_flags(random, flags)]
    elif command in ENDLESS:
        words += random.choice(([], ["--config", odd_text(random)], [odd_text(random)]))
        words += [f"{random.choice(flags)}={random.choice((*UNICODE, 'x', '-1', '0', '9' * 5000, '[', '1.5', ''))}"]
        words += ["--seed_everything=1"] if command == "sweep" else ["--trainer.max_steps=1"]
    elif command == "board":
        words += [random.choice((*PLACES, *UNICODE, "x" * 300, "nosuch")), *_odd_flags(random, flags)]
    elif command == "compare":
        words += [_place(random, material) for _ in range(random.choice((1, 2, 2, 3)))]
    elif command in ("sample", "inspect"):
        words += [_place(random, material), *_odd_flags(random, flags)]
    elif command == "datasets check":
        words += [random.choice(("names", "text", "labelled", "abc", odd_text(random)))]
        words += [f"--path={material / 'names.txt'}", *_odd_flags(random, flags)]
    else:
        words += [odd_text(random) for _ in range(random.randrange(2))] + _odd_flags(random, flags)
    words += [switch for switch in SWITCHES.get(command, ()) if random.random() < 0.2]
    if random.random() < 0.1:
        words.insert(random.randrange(len(words) + 1), odd_text(random))
    if words[:1] == ["board"] and not set(words[1:]) - {"--open"}:  # of the folder runs it would serve for ever
        words.append("nosuch")
    environment = (
        {"COLUMNS": random.choice(("0", "1", "abc", "-5", "²", "80", "9" * 30))} if random.random() < 0.2 else {}
    )
    return words, environment


def _odd_flags(random: Random, flags: list[str], least: int = 0) -> Words:
    found = Words()
    for _ in range(random.choice((least, 1, 1, 2)) if flags else 0):
        flag, value = random.choice(flags), random.choice(NUMBERS) if random.random() < 0.4 else odd_text(random)
        found += [f"{flag}={value}"] if random.random() < 0.7 else [flag, value]
    return found


def _odd_things() -> None:
    """Things in the current folder that are no files of text."""
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("loop", "loop")
    Path("secret").touch(mode=0)
    for name in ("version_²", "version_" + "9" * 200, "version_x"):
        Path("runs", "dinos", name, "checkpoints").mkdir(parents=True)
    os.mkfifo("runs/dinos/version_x/results.json")
    Path("runs/dinos/version_x/config.yaml").write_text("data: {dataset: dinos}")
    os.mkfifo("runs/dinos/version_²/checkpoints/last.ckpt")


def _place(random: Random, material: Path) -> str:
    """A run, most of the time."""
    if random.random() < 0.5:
        return str(material / "runs" / random.choice(list(RUNS)) / "version_0")
    return random.choice((odd_text(random), "runs/dinos/version_x", "runs/dinos/version_²", "runs", str(material)))


def _data(random: Random, material: Path) -> Words:
    """A text with changed bytes, plain or packed."""
    dataset, file = random.choice(
        [("text", "text.txt"), ("labelled", "labelled.tsv"), ("labelled", "tagged.tsv"), ("abc", "tunes.abc")]
        + [("text", f"text.txt.{ending}") for ending in PACKERS]
        + [("names", "names.txt")]
    )
    name = random.choice((file, file, "my.zip", "my.tsv.gz", "my")) if random.random() < 0.1 else file
    Path(name).write_bytes(changed((material / file).read_bytes(), random))
    own = random.choice([[]] * 12 + [["encoding=utf-16"], ["encoding=nosuch"], ["errors=replace"], ["errors=ignore"]])
    if dataset == "text":
        own = own + random.choice(
            [[], ["by=line"], ["tokens=words"], ["tokens=bytes"], ["by=blank_line"], ["separator=;"]]
        )
    elif dataset == "labelled":
        own = (
            own + ["task=tagging"] * (file == "tagged.tsv") + random.choice([[], ["header=true"], ["label_column=-1"]])
        )
    elif dataset in ("names", "abc"):
        own = []
    if random.random() < 0.4:
        return ["datasets", "check", dataset, f"--path={name}", *(f"--{word}" for word in own)]
    flags = [f"--data.dataset_args.{word}" for word in (f"path={name}", *own)]
    return ["fit", f"--data.dataset={dataset}", *SMALL, *flags]


def _checkpoint(random: Random, material: Path) -> Words:
    """A checkpoint with changed bytes, or a whole one that holds odd things."""
    run = _copy_of_run(random, material)
    file = random.choice(sorted((run / "checkpoints").glob("*.ckpt")))
    if random.random() < 0.3:
        file.write_bytes(changed(file.read_bytes(), random))
    else:
        content = torch.load(file, map_location="cpu", weights_only=True)
        for _ in range(random.choice((1, 1, 2))):
            _alter(content, random)
        torch.save(content, file)
    for other in sorted((run / "checkpoints").glob("*.ckpt")):
        if other != file and random.random() < 0.7:
            other.unlink()
    place = str(random.choice((run, file)))
    config = ["--config=dinos", *SMALL]
    commands: list[Words] = [
        ["sample", place],
        ["sample", place, "--novel", "--n=2"],
        ["inspect", place],
        ["inspect", place, "--text=a"],
    ]
    commands += [[verb, f"--ckpt_path={place}"] for verb in ("validate", "test", "predict")]
    commands += [
        ["fit", f"--ckpt_path={place}", "--trainer.max_steps=3"],
        ["fit", f"--resume={run}", "--trainer.max_steps=3", "--resume_with_changes=true"],
    ]
    commands += [
        ["fit", *config, f"--init_from={place}"],
        ["fit", f"--resume={run}"],
        ["compare", str(run), str(material / "runs/text/version_0")],
    ]
    return random.choice(commands)


def _alter(content: Any, random: Random) -> None:
    """Replace or remove something in a checkpoint: a setting, most of the time."""
    top = random.choice(
        ("hyper_parameters", "hyper_parameters", "datamodule_hyper_parameters", "state_dict", "state_dict", "")
    )
    part = content[top] if isinstance(content, dict) and isinstance(content.get(top), dict) else content
    while True:  # down to something within
        if not isinstance(part, dict) or not part:
            return
        key = random.choice(list(part))
        if isinstance(part[key], dict) and part[key] and random.random() < 0.7:
            part = part[key]
            continue
        break
    value = part[key]
    if random.random() < 0.15:
        del part[key]
    elif isinstance(value, torch.Tensor) and random.random() < 0.8:
        part[key] = random.choice(_tensors(value))
    else:
        part[key] = odd_value(random)


def _tensors(value: torch.Tensor) -> list[torch.Tensor]:
    """Odd ones in the place of a tensor."""
    return [
        value[..., :1] if value.dim() else value,
        value.unsqueeze(0),
        value.flatten(),
        torch.zeros(0),
        torch.tensor(1.0),
        value.double(),
        value.to(torch.int8),
        value.to(torch.complex64),
        value.to_sparse() if value.dim() and not value.is_complex() else value,
        torch.full_like(value, 127) * float("nan") if value.is_floating_point() else value,
        torch.zeros(1).expand(1 << 34),
    ]


def _copy_of_run(random: Random, material: Path) -> Path:
    """A run folder in the current folder."""
    dataset = random.choice(list(RUNS))
    run = Path("runs", dataset, "version_0")
    shutil.copytree(material / "runs" / dataset / "version_0", run)
    return run


KINDS: dict[str, Callable[[Random, Path], Words | tuple[Words, dict[str, str]]]] = {
    "configurations": _configuration,
    "structures": _structure,
    "words": _command,
    "data": _data,
    "checkpoints": _checkpoint,
}

"""What Lightning's verbs take: the keys, their defaults, and the house's own callbacks under keys of their own."""

import argparse
import re
import string
from collections.abc import Mapping
from typing import Any, NoReturn, get_args

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser

from .. import config, registry
from ..callbacks.averaging import AveragedWeights
from ..callbacks.finite import FiniteGuard
from ..callbacks.inside import Inside
from ..callbacks.last_checkpoint import LastCheckpoint
from ..callbacks.sample_text import SampleText
from ..config import Settings
from ..errors import UserError, explain
from ..footprint import check_memory
from ..types import PositiveInt

LINKS = ("vocabulary", "labels", "token_counts")
"""What flows from the data to the model, when both are built."""

BEST = "best-step={step}-val_bpc={val/bpc:.4f}"

TRAINER_DEFAULTS = {"log_every_n_steps": 20, "enable_model_summary": False, "use_distributed_sampler": False}

LEAST = {
    "accumulate_grad_batches": 1,
    "log_every_n_steps": 0,
    "gradient_clip_val": 0,
    "max_epochs": -1,
    "max_steps": -1,
}
"""What Lightning's Trainer takes without a look."""

MOST = {
    "seed_everything": 2**32 - 1,
    "data.batch_size": 2**31 - 1,
    "data.window": 2**31 - 1,
    "trainer.accumulate_grad_batches": 1_000_000,
}
"""What numpy and torch take, and parts of a batch that are planned one by one."""

WIDEST = 99
"""Characters of a metric in the name of a checkpoint."""

NUMBER = 10
"""Characters that a number usually takes there."""

LONGEST = 190
"""Bytes in the name of a checkpoint: of 255, the ending and the name of its temporary file take the others."""

PROCESS = 100_000_000
"""Bytes of a process that trains, at the least."""

LOWER_IS_BETTER = re.compile(r"loss|bpc|perplexity|nats")
"""In the name of a metric. Of any other a ``ModelCheckpoint`` would keep the lowest too, and say nothing."""


class SettingsParser(LightningArgumentParser):
    """A parser whose complaint is one message that says where the mistake stands."""

    places: Mapping[str, str] = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        stray = message.removeprefix("unrecognized arguments: ")
        if stray in config.recipes():
            raise UserError(f"{stray!r} stands alone; did you mean --config {stray}?")
        cause: BaseException | None = ex
        while cause is not None:  # a complaint about a key comes again as one about the configuration it is in
            if isinstance(cause, UserError):
                raise cause
            cause = cause.__cause__ or cause.__context__
        raise UserError(explain(message, self.places)) from ex


def add_house_arguments(parser: LightningArgumentParser) -> None:
    """The house's own callbacks, which a list of callbacks in a configuration cannot drop, and the links."""
    parser.add_lightning_class_args(SampleText, "sampling")
    parser.add_lightning_class_args(Inside, "inside")
    parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
    parser.add_lightning_class_args(LastCheckpoint, "last")
    parser.add_lightning_class_args(AveragedWeights, "averaging")
    parser.add_lightning_class_args(FiniteGuard, "finite")
    parser.add_argument(
        "--early_stopping",
        type=PositiveInt | None,
        default=None,
        help="Validations in a row without a better val/loss after which training stops; null never does.",
    )
    parser.add_argument(
        "--resume",
        type=str | None,
        default=None,
        help="Go on with a run, in its folder, as if it had never stopped: a run folder, a checkpoint, or auto: the "
        "newest run of the dataset that has not ended and has these settings; a fresh start where there is none.",
    )
    parser.add_argument(
        "--resume_with_changes", type=bool, default=False, help="Go on although settings are others now."
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="Import the classes, open the files and write to the folders that the configuration of a run by somebody "
        "else names, with --resume or --ckpt_path. Typed on the command line, never in a file.",
    )
    parser.add_argument(
        "--init_from",
        type=str | None,
        default=None,
        help="Begin a new run with the weights of this run or checkpoint; the vocabulary grows where it must.",
    )
    parser.set_defaults(
        {
            "checkpoint.monitor": "val/loss",
            "checkpoint.filename": BEST,
            "checkpoint.auto_insert_metric_name": False,
            "checkpoint.enable_version_counter": False,  # a run that goes on writes again what it was killed after
            "checkpoint.save_on_train_epoch_end": False,
        }
    )
    for name in LINKS:
        parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")


def check_known(parser: LightningArgumentParser, settings: Settings) -> None:
    """Refuse keys that the parser does not know.

    Raises:
        UserError: As ``config.check_keys``.
    """
    known = {action.dest for action in parser._actions if not action.dest.endswith(".help")}
    known -= {f"model.{name}" for name in LINKS}
    config.check_keys(settings, known - {key.rpartition(".")[0] for key in known})


def check_null(parser: LightningArgumentParser, settings: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Refuse a null where there must be a value: the parser takes it for a value that is left out.

    Args:
        parser: Of the verb.
        settings: Parsed.
        places: Where each key is said.

    Raises:
        UserError: A key that cannot be null is.
    """
    for action in parser._actions:
        key = action.dest
        if key in places and config.get(settings, key) is None and not _may_be_null(action):
            instead = "" if action.default is None else "; leave it out for its default"
            raise UserError(f"{places[key]}: {key} cannot be null{instead}")


def _may_be_null(action: argparse.Action) -> bool:
    """Return whether the type of an argument takes None."""
    kind = getattr(action, "_typehint", action.type)
    return kind in (None, Any) or type(None) in get_args(kind)


def check_most(settings: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Refuse numbers that are too large for what they are given to.

    Raises:
        UserError: One is above its ``MOST``, or the seed is below 0.
    """
    for key, most in MOST.items():
        value = config.get(settings, key)
        if value is not None and not 0 <= value <= most:
            place = f"{places[key]}: " if key in places else ""
            raise UserError(f"{place}{key} must be between 0 and {most}, not {value}")


def check_settings(settings: Mapping[str, Any], places: Mapping[str, str]) -> None:
    """Refuse what the Trainer would take and stumble over later, and what dataset and backbone do not take.

    Raises:
        UserError: A number below its least, a checkpoint chosen by who knows what, no validation to stop early by, or
            as ``registry.convert``.
    """
    trainer = settings["trainer"]
    for name, least in LEAST.items():
        if trainer[name] is not None and trainer[name] < least:
            key = f"trainer.{name}"
            place = f"{places[key]}: " if key in places else ""
            raise UserError(f"{place}{key} must be >={least}, not {trainer[name]}")
    if re.fullmatch("[0-9]+", devices := str(trainer["devices"])):
        check_memory(PROCESS * int(devices), f"trainer.devices {devices}: that many processes")
    for name_key, key in config.PLUGIN_ARGUMENTS.items():
        group = registry.DATASETS if name_key == "data.dataset" else registry.BACKBONES
        own = {k.removeprefix(f"{key}."): place for k, place in places.items() if k.startswith(f"{key}.")}
        registry.convert(group, settings[name_key], settings[key] or {}, own)
    monitor = settings["checkpoint"]["monitor"]
    if monitor is not None and not LOWER_IS_BETTER.search(monitor) and "checkpoint.mode" not in places:
        raise UserError(f"checkpoint.monitor {monitor!r} needs checkpoint.mode beside it: is max better, or min?")
    _check_filename(settings["checkpoint"]["filename"])
    for unit in ("epochs", "steps"):
        least, most = trainer[f"min_{unit}"], trainer[f"max_{unit}"]
        if least is not None and most is not None and 0 <= most < least:
            raise UserError(f"trainer.min_{unit} {least} is more than trainer.max_{unit} {most}")
    if settings["checkpoint"]["save_last"]:
        raise UserError("checkpoint.save_last: last.ckpt is written anyway; last.every_n_steps says how often")
    if settings.get("early_stopping") and trainer["limit_val_batches"] == 0:
        raise UserError("early_stopping needs validations, and trainer.limit_val_batches is 0")


def _check_filename(filename: str | None) -> None:
    """Refuse a name of checkpoints that cannot be filled in, or only with very many characters.

    Raises:
        UserError: A brace that is not closed, a wide field, or a name that is too long for a file.
    """
    try:
        fields = list(string.Formatter().parse(filename or ""))
    except ValueError as error:
        raise UserError(f"checkpoint.filename {filename!r:.200}: {error}") from error
    length = 0
    for text, name, layout, _ in fields:
        width = max((int(number) for number in re.findall(r"\d{1,9}", layout or "")), default=0)
        if width > WIDEST:
            raise UserError(f"checkpoint.filename: the field {name!r:.60} is more than {WIDEST} characters wide")
        length += len(text.encode())
        if name is not None:
            length += len(name.encode()) + len("=") + max(width, NUMBER)
    if length > LONGEST:
        raise UserError(f"checkpoint.filename makes names of {length} bytes, and a file's name has room for {LONGEST}")

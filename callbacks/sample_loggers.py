"""Samples in a run's logger: each shows text, pictures and sound in its own way, if at all."""

import numpy as np
import torch
from PIL import Image
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from ..types import Rendering
from . import markup
from .drawing import add_picture
from .safety import safely
from .showing import Showing, tag_of

HEARD, FADE = 12.0, 0.05
"""Seconds of a sound that are logged at the most, and in which a longer one fades: TensorBoard's checksum of a minute
takes longer than a hundred updates of a small model."""


def send(logger: Logger, showing: Showing) -> None:
    """Show samples where a logger can: TensorBoard, Weights & Biases, MLflow; of any other the run folder has them.
    The classes are Lightning's, which do not import what they log to before they do."""
    if isinstance(logger, TensorBoardLogger):
        _to_tensorboard(logger, showing)
    elif isinstance(logger, WandbLogger):
        _to_wandb(logger, showing)
    elif isinstance(logger, MLFlowLogger):
        _to_mlflow(logger, showing)


def _to_tensorboard(logger: TensorBoardLogger, showing: Showing) -> None:
    """A text tag a temperature and one for the table; pictures and sounds by temperature and prompt."""
    with safely("the samples' text in TensorBoard"):
        board = logger.experiment
        for temperature in dict.fromkeys(showing.temperatures):
            board.add_text(f"samples/{tag_of(temperature)}", showing.markdown(temperature), showing.update)
        board.add_text("samples/table", markup.table(showing.header(), showing.rows()), showing.update)
    for tag, rendering in showing.rendered:
        if rendering.image is not None:
            with safely("the samples' pictures in TensorBoard"):
                pixels = Image.fromarray(_pixels(tag, rendering.image))
                add_picture(logger.experiment, tag, pixels, showing.update)
        if rendering.audio is not None:
            with safely("the samples' sound in TensorBoard"):
                sound, rate = _sound(tag, rendering)
                board = logger.experiment  # which would show no sound under a tag that a picture has
                board.add_audio(f"{tag}/sound", torch.from_numpy(sound)[None], showing.update, sample_rate=rate)


def _to_wandb(logger: WandbLogger, showing: Showing) -> None:
    """The table; pictures and sounds by temperature and prompt. Sounds need the package soundfile, as W&B says."""
    with safely("the samples' text in Weights & Biases"):
        rows = [[markup.plain(text) for text in row] for row in showing.rows()]
        logger.log_text("samples/table", columns=showing.header(), data=rows, step=showing.update)
    for tag, rendering in showing.rendered:
        if rendering.image is not None:
            with safely("the samples' pictures in Weights & Biases"):
                logger.log_image(tag, [_pixels(tag, rendering.image)], step=showing.update)
        if rendering.audio is not None:
            with safely("the samples' sound in Weights & Biases"):
                sound, rate = _sound(tag, rendering)
                logger.log_audio(f"{tag}/sound", [sound], step=showing.update, sample_rate=[rate])


def _to_mlflow(logger: MLFlowLogger, showing: Showing) -> None:
    """The page of each showing and its pictures, as artifacts; MLflow plays no sound."""
    name = f"samples/update_{showing.update:08d}"
    with safely("the samples' text in MLflow"):
        logger.experiment.log_text(logger.run_id, showing.page(), f"{name}.md")
    for tag, rendering in showing.rendered:
        if rendering.image is not None:
            with safely("the samples' pictures in MLflow"):
                file = f"{name}/{tag.removeprefix('samples/').replace('/', '_')}.png"
                logger.experiment.log_image(logger.run_id, _pixels(tag, rendering.image), artifact_file=file)


def _pixels(tag: str, image: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """A picture as it was promised.

    Raises:
        ValueError: It is another thing.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"{tag}: a picture is (height, width, 3) uint8, not {pixels.shape} {pixels.dtype}")
    return pixels


def _sound(tag: str, rendering: Rendering) -> "tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], int]":
    """A sound as it was promised, and its sample rate.

    Raises:
        ValueError: It is another thing.
    """
    sound, rate = np.asarray(rendering.audio, np.float32), rendering.sample_rate
    if rate is None or sound.ndim != 1 or len(sound) < 2 or not np.isfinite(sound).all():
        raise ValueError(f"{tag}: a sound is a row of finite float32 with a sample rate")
    longest, fade = int(HEARD * rate), int(FADE * rate)
    if len(sound) > longest:
        sound = sound[:longest].copy()
        sound[longest - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.clip(sound, -1, 1), rate

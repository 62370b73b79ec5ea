"""The precision that a run trains in where its configuration leaves it open."""

import os
from statistics import median
from time import perf_counter

import torch

from ..backbones.recurrent import has_bfloat16_lstm
from ..errors import UserError
from ..loss import cross_entropy
from ..model import SequenceModel

FULL, HALF = "32-true", "bf16-mixed"
KNOWN = (FULL, HALF, "64-true", "16-mixed", "bf16-true", "16-true")

VARIABLE = "LIGHTSEQ_PRECISION"
"""Says what to choose: how a user decides for all runs, and the first process of a run for those that it starts."""

LAUNCHED = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS")
"""Something else has started the processes of a run: each would time for itself, and they might not agree."""

GAIN = 1.1
"""Times faster that half the bits must be. Some processors have no instruction for them, some kernels no use for it. It
lies where few networks are, or the choice would be another one from run to run: on a CPU small GRUs and RNNs of torch's
are below 1, LSTMs and linear recurrences at 1.1 to 1.5."""

ROWS, TIME_STEPS = 64, 64
LEAST, MOST, SECONDS = 3, 9, 0.7
"""Trials, of which the median counts: as many as take this long. Enough to tell, and soon over."""


def choose(model: SequenceModel, rows: int, cuda: bool) -> str:
    """bf16 where it is faster on this machine for this network, else fp32.

    Args:
        model: The network, which is as it was afterwards.
        rows: B, of the batches to come.
        cuda: Whether it trains on a GPU of NVIDIA's, which need not be timed: whether it has bf16 tells.

    Raises:
        UserError: ``LIGHTSEQ_PRECISION`` says something else than one of the Trainer's.
    """
    if given := os.environ.get(VARIABLE):
        if given not in KNOWN:
            raise UserError(f"{VARIABLE} is {given!r}: name one of {', '.join(KNOWN)}")
        return given
    if cuda:
        return HALF if torch.cuda.is_bf16_supported(including_emulation=False) else FULL
    if any(name in os.environ for name in LAUNCHED) or not has_bfloat16_lstm():
        return FULL
    rows = min(rows, ROWS)
    tokens = torch.arange(rows * TIME_STEPS).view(rows, TIME_STEPS) % model.vocabulary_size
    gains: list[float] = []
    began = perf_counter()
    with torch.random.fork_rng(devices=[]):
        try:
            while len(gains) < LEAST or (len(gains) < MOST and perf_counter() - began < SECONDS):
                gains.append(_seconds(model, tokens, half=False) / _seconds(model, tokens, half=True))
        except RuntimeError:  # what a processor without bf16 says of a kernel that needs it
            return FULL
        finally:
            model.zero_grad(set_to_none=True)
    return HALF if median(gains) > GAIN else FULL


def _seconds(model: SequenceModel, tokens: torch.Tensor, half: bool) -> float:
    """What both passes over a batch take."""
    begin = perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits, _ = model(tokens)
    nats, _ = cross_entropy(logits, tokens % logits.shape[-1])
    nats.backward()  # type: ignore[no-untyped-call]
    return perf_counter() - begin

"""Trainings as they are written by hand, in a process of their own that has torch as it comes."""

import multiprocessing
import pickle
from contextlib import nullcontext
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lightseq.optim import build_optimizer


class Loop:
    """A bare loop.

    Args:
        model: The network.
        streams: Whether the state is carried from batch to batch.
        optimizer: Its name, learning rate and weight decay.
        half: Whether in bf16, by autocast.
        clip: What the gradient's norm is at the most.
        usual: Take torch's AdamW as it comes, where it is AdamW.
    """

    def __init__(
        self,
        model: nn.Module,
        streams: bool,
        optimizer: tuple[str, float, float],
        half: bool,
        clip: float | None,
        usual: bool,
    ) -> None:
        self.model, self.streams, self.half, self.clip, self.state = model, streams, half, clip, None
        name, rate, decay = optimizer
        if usual and name == "adamw":
            self.optimizer: Any = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
        else:
            self.optimizer = build_optimizer(name, model, rate, decay, torch.bfloat16 if half else None)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda update: 1 / (1 + 1e-4 * update))

    def train(self, batches) -> None:
        self.model.train()
        for batch in batches:
            state = self.state and tuple(part.detach() for part in self.state)
            with torch.autocast("cpu", torch.bfloat16) if self.half else nullcontext():
                logits, state = self.model(batch.tokens, state)
            self.state = state if self.streams else None
            loss = functional.cross_entropy(logits.float().flatten(0, 1), batch.targets.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            if self.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.schedule.step()


class Loops:
    """Several of them in one other process.

    Args:
        loops: ``Loop``'s arguments by a name.
    """

    def __init__(self, loops: dict[str, tuple[Any, ...]]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        context.Process(target=_serve, args=(theirs, pickle.dumps(loops)), daemon=True).start()

    def train(self, name: str, batches: list[Any]) -> float:
        """Seconds that one of them takes for some batches."""
        self._ours.send_bytes(pickle.dumps((name, batches)))  # send() would share the tensors' memory
        return float(self._ours.recv())


def _serve(asked: Connection, loops: bytes) -> None:
    own = {name: Loop(*arguments) for name, arguments in pickle.loads(loops).items()}
    while True:
        name, batches = pickle.loads(asked.recv_bytes())
        began = perf_counter()
        own[name].train(batches)
        asked.send(perf_counter() - began)

"""The recipe of MIT's lab on music generation (6.S191, lab 1, PyTorch), on the same tunes: what ours is set beside.

    python benchmarks/lab.py

An LSTM of 1024 behind an embedding of 256, 3000 updates of Adam at 5e-3, each on 8 random windows of 100 characters
from the training tunes one after another. The numbers are the published ones; the code is not. Its held-out loss is
taken as lightseq's is: every validation tune from its beginning, a boundary before and after it, the state carried
through. It ends where the best of its losses lies ``PATIENCE`` looks back; the rest of its updates only learn by heart.
"""

import json
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from lightseq.backbones import reset_rows
from lightseq.backbones.recurrent import LSTM
from lightseq.data import SequenceData
from lightseq.data.loader import SequenceLoader
from lightseq.loss import cross_entropy
from lightseq.model import SequenceModel

UPDATES, EVERY, PATIENCE = 3000, 100, 6
ROWS, WINDOW = 8, 100


def joined(data: SequenceData) -> Tensor:
    """The training tunes one after another, a boundary between two."""
    store, boundary = data.store, data.vocabulary.index("")
    tunes = [
        np.append(store.tokens[store.offsets[number] : store.offsets[number + 1]], boundary)
        for number in data.parts["train"]
    ]
    return torch.from_numpy(np.concatenate(tunes).astype(np.int64))


@torch.no_grad()
def held_out(model: SequenceModel, loader: SequenceLoader) -> float:
    """Nats a character of the validation tunes."""
    nats, count, state = 0.0, 0, model.initial_state(0)
    for batch in loader:
        start = model.initial_state(len(batch.tokens))
        state = start if batch.reset.all() else reset_rows(state, start, batch.reset)
        logits, state = model(batch.tokens, state)
        part, scored = cross_entropy(logits, batch.targets)
        nats, count = nats + float(part), count + int(scored)
    return nats / count


def main() -> None:
    torch.manual_seed(0)
    data = SequenceData("abc", batch_size=16)
    loaders, text = data.val_dataloader(), joined(data)
    model = SequenceModel(LSTM(256, 1024), len(data.vocabulary), 256, len(data.vocabulary))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses: list[float] = []
    seconds, begin = 0.0, perf_counter()
    for update in range(1, UPDATES + 1):
        starts = torch.randint(len(text) - WINDOW - 1, (ROWS, 1))
        ids = text[starts + torch.arange(WINDOW + 1)]
        logits, _ = model(ids[:, :-1])
        nats, count = cross_entropy(logits, ids[:, 1:])
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
        if update % EVERY == 0:
            seconds += perf_counter() - begin
            loss = held_out(model, SequenceLoader(loaders[0].source))
            print(json.dumps({"update": update, "seconds": round(seconds, 1), "val/loss": round(loss, 4)}), flush=True)
            losses.append(loss)
            if min(losses) < min(losses[-PATIENCE:]):
                break
            begin = perf_counter()


if __name__ == "__main__":
    main()

"""Lightning's view of a dataset: encoded, split, batched."""

import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch

from .. import registry
from ..errors import UserError
from ..types import Batch, NonNegativeInt, PluginArguments, PositiveInt, Probability
from ..vocabulary import Vocabulary
from .batching import BatchSource, DocumentBatches, StreamBatches
from .cache import locked
from .characters import token_counts
from .dataset import TextDataset, blamed
from .loader import SequenceLoader
from .splitting import Array, Deal, split_documents, split_stream
from .store import Store, open_store, own_tokens
from .survey import survey

COUNTED = 1 << 24
"""Tokens that are counted for the first one to draw: enough to know, and a large text need not be read for it."""

COLD_WINDOWS = (64, 256)
"""Beside the carried state, a stream is validated in windows of so many time steps that each start afresh."""


class SequenceData(pl.LightningDataModule):
    """The batches of one dataset.

    Nothing is read before ``vocabulary`` or a data loader is asked for; then the documents are encoded into the cache,
    by whichever process of a machine comes first.

    Args:
        dataset: An entry-point name: ``lightseq datasets`` lists them.
        dataset_args: What the dataset's own constructor takes.
        batch_size: Rows of a batch on each device: documents, or lanes of a stream. The batches of all devices, and
            those that are accumulated, make an update together, as one larger batch would.
        window: Time steps of a row that are trained on at once; the state is carried to the next window.
        val_lanes: Lanes that a stream's validation is cut into. The score depends on it a little, so it is a number of
            its own and neither the batch size nor the number of devices changes it.
        val_fraction: Share of the documents, or of the stream, to validate on, where the dataset does not say.
        test_fraction: The same for the test split.
        fold: Which part of the documents validates, counted from 0: with a val_fraction of 0.1 there are ten.
        split_seed: Of the dealing of documents to splits. A seed of its own, so that runs with other seeds compare.
        cold_starts: The chance of a row's window of a training stream to start from the initial state although its text
            goes on: a little of it teaches the model to begin anywhere (``val/loss_cold64``).
        seed: Of the order of the training documents, of where an epoch of a stream begins, and of its cold starts; null
            is ``seed_everything``.
        tokens: The vocabulary to encode with; null is the tokens of the text. A checkpoint brings its own.
        label_names: The labels, in order; null is those of the data. A checkpoint brings its own.

    Raises:
        UserError: An unknown dataset, arguments it does not take, fractions that leave nothing to train on.
    """

    def __init__(
        self,
        dataset: str,
        dataset_args: PluginArguments | None = None,
        batch_size: PositiveInt = 64,
        window: PositiveInt = 128,
        val_lanes: PositiveInt = 64,
        val_fraction: Probability = 0.1,
        test_fraction: Probability = 0.1,
        fold: NonNegativeInt = 0,
        split_seed: NonNegativeInt = 0,
        cold_starts: Probability = 0.0,
        seed: NonNegativeInt | None = None,
        tokens: list[str] | None = None,
        label_names: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["_instantiator"])  # a checkpoint names no code
        if not val_fraction or val_fraction + test_fraction >= 1:
            raise UserError("data.val_fraction must be above 0, and with data.test_fraction below 1")
        folds = int(1 / val_fraction + 1e-9)
        if fold >= folds:
            raise UserError(f"data.fold {fold}: a val_fraction of {val_fraction:g} has {folds} folds")
        self.dataset_name, self.batch_size, self.window, self.val_lanes = dataset, batch_size, window, val_lanes
        self.deal = Deal(split_seed, val_fraction, test_fraction, fold)
        self.cold_starts = cold_starts
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        self._given = tokens, label_names
        self.between_batches: list[Callable[[], None]] = []
        """Called before each training batch is taken: there a run can be stored, and stopped."""
        source = registry.build(registry.DATASETS, dataset, dataset_args)
        if not isinstance(source, TextDataset):
            raise UserError(f"{dataset!r} is broken: {type(source).__name__} is no lightseq.data.TextDataset")
        self.dataset: TextDataset = source

    @cached_property
    def store(self) -> Store:
        """The encoded corpus."""
        self._download()
        store = open_store(self.dataset, self.dataset_name, *self._given)
        stream = self.dataset.layout == "stream"
        if stream != (Vocabulary(store.vocabulary).boundary is None):
            kinds = ("documents", "a stream") if stream else ("a stream", "documents")
            raise UserError(
                f"the given vocabulary is one of {kinds[0]}, and dataset {self.dataset_name!r} is {kinds[1]}"
            )
        return store

    def alphabet(self) -> tuple[list[str], list[str] | None]:
        """The tokens and the labels of the text itself, whatever is given; nothing is encoded."""
        self._download()
        found, _ = survey(self.dataset, self.dataset_name)
        return own_tokens(self.dataset, found), found.labels

    def _download(self) -> None:
        """By one process of a machine at a time; there is nothing to wait for where nothing is fetched.

        A read-only cache has no lock, and what the data need may be there already.
        """
        if type(self.dataset).download is not TextDataset.download:
            place = f"download-{re.sub(r'[^a-zA-Z0-9]', '_', self.dataset_name)}"
            with locked(place, read_only=True), blamed(self.dataset, self.dataset_name, "download"):
                self.dataset.download()

    @cached_property
    def parts(self) -> dict[str, Array]:
        """By split: document numbers, or the token ids of a stream."""
        split = split_stream if self.dataset.layout == "stream" else split_documents
        return split(self.store, self.deal, self.dataset_name)

    @property
    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids; linked to the model."""
        return self.store.vocabulary

    @property
    def labels(self) -> list[str] | None:
        """The labels in the order of their ids, None for a language model; linked to the model."""
        return self.store.labels

    @property
    def token_counts(self) -> list[int] | None:
        """(V,) How often each token stands in the training text of a stream, of which ``COUNTED`` tokens are looked at:
        an empty prompt draws its first token so. None where documents start with a boundary. Linked to the model."""
        if self.dataset.layout == "documents":
            return None
        counts = token_counts(self.parts["train"][:COUNTED], len(self.vocabulary))
        return [int(count) for count in counts]

    def training_lanes(self, batches: int) -> int:
        """Lanes of the training stream, over all batches of an update: as many as fill at least one window each."""
        most = max(1, (len(self.parts["train"]) - 1) // self.window)
        return min(self.batch_size * batches, most)

    def teardown(self, stage: str) -> None:
        """What one fit has asked for is no other's."""
        self.between_batches.clear()

    def train_dataloader(self) -> SequenceLoader:
        """The training split in the order of the seed. An update has the same rows, by whatever number of ranks and of
        accumulated batches they are divided."""
        world, accumulate, epoch = 1, 1, 0
        if self.trainer:
            world, epoch = self.trainer.world_size, self.trainer.current_epoch
            accumulate = self.trainer.accumulate_grad_batches
        if self.dataset.layout == "stream":
            lanes, own = self.training_lanes(world * accumulate), {"seed": self.seed, "cold_starts": self.cold_starts}
            source = self._stream("train", lanes, self.window, accumulate=accumulate, **own)
            return SequenceLoader(source, epoch, self.between_batches)
        return SequenceLoader(self._documents("train", self.seed, accumulate), epoch, self.between_batches)

    def val_dataloader(self) -> list[SequenceLoader]:
        """The validation split, whole; for a stream with the state carried, then in cold windows."""
        return self._evaluation("val")

    def test_dataloader(self) -> list[SequenceLoader]:
        """The test split, whole.

        Raises:
            UserError: The dataset has none.
        """
        if not len(self.parts["test"]):
            raise UserError(
                f"dataset {self.dataset_name!r} has no test split; data.test_fraction makes one where it says none"
            )
        return self._evaluation("test")

    def predict_dataloader(self) -> SequenceLoader:
        """The test split."""
        return self.test_dataloader()[0]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning's own looks through whatever a batch may be made of; this one is known."""
        if device.type == "cpu":
            return batch
        aside = device.type == "cuda"  # elsewhere a copy that nobody waits for may be read before it is there
        tokens, targets, reset = (tensor.to(device, non_blocking=aside) for tensor in batch[:3])
        return Batch(tokens, targets, reset, batch.part)

    def _evaluation(self, split: str) -> list[SequenceLoader]:
        if self.dataset.layout == "documents":
            return [SequenceLoader(self._documents(split, seed=None))]
        lanes = min(self.val_lanes, len(self.parts[split]) - 1)
        sources = [self._stream(split, lanes, self.window)]
        sources += [self._stream(split, lanes, window, carry=False) for window in COLD_WINDOWS]
        return [SequenceLoader(source) for source in sources]

    def _stream(self, split: str, lanes: int, window: int, **own: Any) -> BatchSource:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return StreamBatches(self.parts[split], lanes=lanes, window=window, rank=rank, world=world, **own)

    def _documents(self, split: str, seed: int | None, accumulate: int = 1) -> BatchSource:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        boundary = Vocabulary(self.vocabulary).boundary
        assert boundary is not None
        return DocumentBatches(
            self.store,
            self.parts[split],
            rows=self.batch_size,
            window=self.window,
            boundary=boundary,
            rank=rank,
            world=world,
            accumulate=accumulate,
            seed=seed,
        )

"""Lightning's view of a model: the steps, the carried state, the optimiser, and what is logged."""

import math
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from .backbones import detach, reset_rows
from .errors import UserError
from .loss import cross_entropy
from .metrics import TokenMetrics
from .model import SequenceModel, build_model
from .optim import OptimizerName, Schedule, build_optimizer, share_of_rate
from .types import (
    IGNORE_INDEX,
    Batch,
    NonNegativeFloat,
    NonNegativeInt,
    PluginArguments,
    PositiveFloat,
    PositiveInt,
    Probability,
    State,
)
from .vocabulary import Vocabulary

EVALUATIONS = ("", "_cold64", "_cold256")
"""What a metric's name ends in, by the number of the data loader: a stream is validated in three ways."""


class SequenceSystem(pl.LightningModule):
    """A recurrent network that learns to predict a target at every time step.

    Args:
        vocabulary: The tokens in the order of their ids; linked from the data.
        labels: The labels in the order of their ids, None for a language model; linked from the data.
        token_counts: (V,) How often each token stands in a training stream; linked from the data.
        backbone: An entry-point name: rnn, gru, lstm, mingru, minlstm, rglru, mlstm, or a plugin's.
        backbone_args: What the backbone's own constructor takes.
        embedding_size: D; null feeds one-hot vectors.
        hidden_size: H.
        num_layers: L.
        dropout: Share of the values dropped between the parts of the network; what exactly is the backbone's to say.
        tie_head: Use the embedding's weights as the head's; embedding_size must then be the output's width.
        optimizer: AdamW (Loshchilov and Hutter 2019), Adam, plain gradient descent, or Muon (Jordan et al. 2024), which
            learns most from an update and takes a little longer for it.
        learning_rate: At its highest.
        weight_decay: On weight matrices; biases and norms have none.
        warmup_steps: Updates in which the learning rate rises linearly from nothing.
        schedule: After that: constant, or down to zero at the last update, by a cosine or a line.
        loss: What an update minimises: ``mean`` over the tokens it scores, or ``document``, summed over each
            document's time steps and averaged over documents (of a document longer than the window, over those that the
            window scores). What is logged is nats per token in both cases.
        label_smoothing: Share of a target's probability that is spread evenly over all outputs while training (Szegedy
            et al. 2016). What is logged is without it.

    Raises:
        UserError: An unknown backbone, arguments it does not take, or sizes that do not fit together.
    """

    model: SequenceModel
    _lengths: Tensor | None

    def __init__(
        self,
        vocabulary: list[str],
        labels: list[str] | None = None,
        token_counts: list[int] | None = None,
        backbone: str = "lstm",
        backbone_args: PluginArguments | None = None,
        embedding_size: PositiveInt | None = 64,
        hidden_size: PositiveInt = 128,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        tie_head: bool = False,
        optimizer: OptimizerName = "adamw",
        learning_rate: PositiveFloat = 3e-3,
        weight_decay: NonNegativeFloat = 0.0,
        warmup_steps: NonNegativeInt = 0,
        schedule: Schedule = "constant",
        loss: Literal["mean", "document"] = "mean",
        label_smoothing: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["_instantiator"])  # a checkpoint names no code
        self.model = build_model(
            vocabulary=vocabulary,
            labels=labels,
            backbone=backbone,
            backbone_args=backbone_args,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            tie_head=tie_head,
        )
        self.vocabulary, self.labels = Vocabulary(vocabulary), labels
        self.token_counts = token_counts
        self.optimizer_name, self.label_smoothing = optimizer, label_smoothing
        self.learning_rate, self.weight_decay = float(learning_rate), float(weight_decay)  # plain types in a checkpoint
        self.warmup_steps, self.schedule, self.per_document = warmup_steps, schedule, loss == "document"
        lengths = self.vocabulary.lengths if labels is None else None
        documents = self.vocabulary.boundary is not None and labels is None
        if loss == "document" and self.vocabulary.boundary is None:
            raise UserError("model.loss document needs documents: a stream has none, its loss is the mean")
        self.metrics = nn.ModuleList(TokenMetrics(lengths, documents, len(labels or ())) for _ in EVALUATIONS)
        self._train_state: State | None = None
        self._eval_state: State | None = None
        self._logged_update = 0
        self.register_buffer("_lengths", None if lengths is None else torch.tensor(lengths), persistent=False)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V or labels), and the state after the last time step."""
        return self.model(tokens, state)  # type: ignore[no-any-return]

    def on_train_start(self) -> None:
        # no buffers: a replicated strategy would overwrite each rank's sums with those of rank zero
        self._since_log = torch.zeros(3, dtype=torch.float64, device=self.device)
        self._update_size = torch.zeros((), dtype=torch.float64, device=self.device)

    def on_train_epoch_start(self) -> None:
        self._train_state = None

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Backpropagation through time, truncated where the window begins."""
        logits, self._train_state = self(batch.tokens, self._begin(self._train_state, batch))
        nats, count = cross_entropy(logits, batch.targets)
        self._since_log += torch.stack([nats.detach(), count, self._characters(batch.targets)])
        if self.label_smoothing:
            nats, _ = cross_entropy(logits, batch.targets, self.label_smoothing)
        size = (batch.targets != IGNORE_INDEX).any(1).sum() if self.per_document else count
        if self._in_parts:
            self._update_size += size
            return {"loss": nats, "tokens": count}
        return {"loss": nats / size.clamp(min=1), "tokens": count}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradient that of the mean over all that the update scores, and log its norm.

        Parts of an update arrive as sums, which Lightning has divided by the number of accumulated batches and the
        strategy by the number of ranks. A mean of their means would weigh a short batch like a long one.
        """
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if self._in_parts:
            size = self.trainer.strategy.reduce(self._update_size.clone(), reduce_op="sum")
            scale = self.trainer.world_size * self.trainer.accumulate_grad_batches / size.clamp(min=1)
            for gradient in gradients:
                gradient.mul_(scale)
            self._update_size.zero_()
        if self._is_logged(self.trainer.global_step + 1):
            self.log("train/gradient_norm", nn.utils.get_total_norm(gradients))

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        update = self.trainer.global_step
        if not self._is_logged(update) or update == self._logged_update:
            return
        self._logged_update = update
        sums = self.trainer.strategy.reduce(self._since_log.clone(), reduce_op="sum")
        self._since_log.zero_()
        nats, count, characters = sums.tolist()
        if count:
            self.log("train/loss", nats / count)
        if characters:
            self.log("train/bpc", nats / math.log(2) / characters)
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, batch_idx, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """By time step, (B, T) each: the likeliest output (``predicted``, an id), its ``probability``, and the target's
        ``nats``, 0 where nothing is scored; with them what the batch holds."""
        chances = self._continue(batch, batch_idx).float().log_softmax(-1)
        nats = nn.functional.nll_loss(chances.mT, batch.targets, ignore_index=IGNORE_INDEX, reduction="none")
        best, predicted = chances.max(-1)
        return {"predicted": predicted, "probability": best.exp(), "nats": nats, **batch._asdict()}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and a schedule that counts updates."""
        half = torch.bfloat16 if str(self.trainer.precision).startswith("bf16") else None
        optimizer = build_optimizer(self.optimizer_name, self.model, self.learning_rate, self.weight_decay, half)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda update: share_of_rate(update, lambda: self.total_updates, self.warmup_steps, self.schedule),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @property
    def total_updates(self) -> float:
        """The updates of the whole run; infinite where nothing bounds them. Lightning's own estimate would rebuild the
        data loader and lose its position on resume."""
        trainer = self.trainer
        by_epochs = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches) * (
            math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
        )
        return min(by_epochs, math.inf if trainer.max_steps == -1 else trainer.max_steps)

    def _is_logged(self, update: int) -> bool:
        """Whether an update is one to log after; with ``log_every_n_steps`` 0 none is."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it late
        return bool(every) and update % every == 0

    @property
    def _in_parts(self) -> bool:
        """Whether an update's gradient comes from several batches, of several ranks or accumulated."""
        return self.trainer.world_size > 1 or self.trainer.accumulate_grad_batches > 1

    def _begin(self, state: State | None, batch: Batch) -> State:
        """The carried state, from the initial one in the rows that the batch says; another number of rows starts
        afresh, all of them."""
        initial = self.model.initial_state(len(batch.tokens))
        if state is None or any(part.shape[1] != len(batch.tokens) for part in state):
            return initial
        return reset_rows(detach(state), initial, batch.reset)

    def _continue(self, batch: Batch, batch_idx: int) -> Tensor:
        """Logits of an evaluation's next window. Its state is its own: training finds its own as it left it."""
        state = self._begin(self._eval_state if batch_idx else None, batch)
        logits: Tensor
        logits, self._eval_state = self.model(batch.tokens, state)
        return logits

    def _evaluate(self, batch: Batch, batch_idx: int, dataloader_idx: int) -> None:
        logits = self._continue(batch, batch_idx)
        nats, _ = cross_entropy(logits, batch.targets)
        metric = self.metrics[dataloader_idx]
        assert isinstance(metric, TokenMetrics)
        metric.update(nats, logits, batch)

    def _log_evaluation(self, split: str) -> None:
        self._eval_state = None
        for suffix, metric in zip(EVALUATIONS, self.metrics, strict=True):
            assert isinstance(metric, TokenMetrics)
            if metric.update_called:  # documents are evaluated in one way only
                values = metric.compute()
                names = ("loss", "bpc") if suffix else values
                self.log_dict({f"{split}/{n}{suffix}": values[n] for n in names if n in values}, sync_dist=True)
            metric.reset()

    def _characters(self, targets: Tensor) -> Tensor:
        """How many characters the targets stand for."""
        if self._lengths is None:
            return targets.new_zeros(())
        return (self._lengths[targets.clamp(min=0)] * (targets != IGNORE_INDEX)).sum()

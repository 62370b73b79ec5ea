"""Lightning's view of a model: the steps, the carried state, the optimiser, and what is logged."""

import math
from functools import partial
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from .carried import Carried
from .errors import UserError
from .evaluation import Evaluation
from .gradient import Refused, clip, gradients_of, refusal, total_norm
from .loss import cross_entropy
from .metrics import count_characters
from .model import SequenceModel, build_model
from .optim import OptimizerName, Schedule, build_optimizer, planned_updates, share_of_rate
from .sharding import Sharding, shards
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
    gradient_norm: Tensor
    """Of the last update, before it was clipped."""
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
        self.vocabulary, self.labels, self.token_counts = Vocabulary(vocabulary), labels, token_counts
        self.optimizer_name, self.label_smoothing = optimizer, label_smoothing
        self.learning_rate, self.weight_decay = float(learning_rate), float(weight_decay)  # plain types in a checkpoint
        self.warmup_steps, self.schedule, self.per_document = warmup_steps, schedule, loss == "document"
        lengths = self.vocabulary.lengths if labels is None else None
        if loss == "document" and self.vocabulary.boundary is None:
            raise UserError("model.loss document needs documents: a stream has none, its loss is the mean")
        self.evaluation = Evaluation(lengths, self.vocabulary.boundary is not None and not labels, len(labels or ()))
        self.carried = Carried(self.device)
        self.look_every = 0
        """Updates between two looks at whether loss and gradient are finite; 0 never looks."""
        self.refused: Refused | None = None
        """The last update that was not made."""
        self.sharding: Sharding | None = None
        self.register_buffer("_lengths", None if lengths is None else torch.tensor(lengths), persistent=False)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, V or labels), and the state after the last time step."""
        return self.model(tokens, state)  # type: ignore[no-any-return]

    def setup(self, stage: str) -> None:
        """Under a sharded strategy, leave to each process a part of the network.

        Raises:
            UserError: A strategy that is not supported, or an optimiser that is not supported under it.
        """
        if shards(self.trainer.strategy, self.optimizer_name):
            # of this object: Lightning warns of weights that are averaged where the class has such a method
            self.sharding = self.sharding or Sharding(self.model)
            self.configure_model = partial(self.sharding.divide, self.device)  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: Any) -> None:
        """Without torch's look whether it is a weight that Lightning notes around every hook: which one that is."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def on_train_start(self) -> None:
        self.carried = Carried(self.device)

    def on_train_epoch_start(self) -> None:
        self.carried.states = {}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Backpropagation through time, truncated where the window begins."""
        state = self.model.begin(self.carried.states.get(batch.part), batch)
        logits, self.carried.states[batch.part] = self(batch.tokens, state)
        nats, count = cross_entropy(logits, batch.targets)
        self.carried.since_log += torch.stack([nats.detach(), count, count_characters(batch.targets, self._lengths)])
        if self.label_smoothing:
            nats, _ = cross_entropy(logits, batch.targets, self.label_smoothing)
        size = (batch.targets != IGNORE_INDEX).any(1).sum() if self.per_document else count
        if self._in_parts:
            self.carried.update_size += size
            return {"loss": nats, "tokens": count}
        return {"loss": nats / size.clamp(min=1), "tokens": count}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradient that of the mean over all that the update scores, see whether it is finite, and log.

        Parts of an update arrive as sums, which Lightning has divided by the number of accumulated batches and the
        strategy by the number of ranks. A mean of their means would weigh a short batch like a long one.
        """
        gradients, sums = gradients_of(optimizer), self.carried.since_log
        if self._in_parts:
            own = torch.cat([self.carried.update_size[None], sums])
            everyone = self.trainer.strategy.reduce(own, reduce_op="sum")
            scale = self.trainer.world_size * self.trainer.accumulate_grad_batches / everyone[0].clamp(min=1)
            for gradient in gradients:
                gradient.mul_(scale)
            self.carried.update_size.zero_()
            sums = everyone[1:]
        self.gradient_norm = total_norm(gradients)
        update = self.trainer.global_step + 1
        if self.look_every and update % self.look_every == 0:
            self._refuse_unless_finite(update, sums, optimizer)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it late
        if every and update % every == 0:
            self._log_update(sums, optimizer)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By the norm that is known; Lightning would compute it again, and refuses a fused optimiser in bf16."""
        if self._scaled:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip(optimizer, gradient_clip_val, gradient_clip_algorithm == "value", self.gradient_norm)

    def _refuse_unless_finite(self, update: int, sums: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Take the gradients away where they or the loss are not finite: the optimiser leaves weights and moments as
        they are. What is carried begins afresh after this update, since it may not be finite either."""
        found = refusal(update, sums, self.gradient_norm, optimizer.param_groups[0]["lr"], self._scaled)
        if found is not None:
            logged = self.trainer.callback_metrics.get("train/loss", torch.nan)
            self.refused, self.carried = found._replace(logged_loss=float(logged)), Carried(self.device)
            optimizer.zero_grad()

    def _log_update(self, sums: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Log what has come since the last log: nats, tokens and characters of all ranks."""
        nats, count, characters = sums.clone()  # as tensors: of a plain number Lightning keeps float32
        self.carried.since_log.zero_()
        if count:
            self.log("train/loss", nats / count)
        if characters:
            self.log("train/bpc", nats / math.log(2) / characters)
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])
        self.log("train/gradient_norm", self.gradient_norm)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluation.add(self.model, batch, batch_idx == 0, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluation.add(self.model, batch, batch_idx == 0, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """As ``Evaluation.predictions``."""
        return self.evaluation.predictions(self.model, batch, batch_idx == 0)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, and a schedule that counts updates."""
        half = torch.bfloat16 if str(self.trainer.precision).startswith("bf16") else None
        name, rate, decay = self.optimizer_name, self.learning_rate, self.weight_decay
        optimizer = build_optimizer(name, self.model, rate, decay, half, not self._scaled)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda update: share_of_rate(update, lambda: self.total_updates, self.warmup_steps, self.schedule),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @property
    def total_updates(self) -> float:
        """Of the whole run. Lightning's own estimate would rebuild the data loader and lose its position on resume."""
        run = self.trainer
        return planned_updates(run.num_training_batches, run.accumulate_grad_batches, run.max_epochs, run.max_steps)

    @property
    def _scaled(self) -> bool:
        """Whether losses are scaled, for gradients too small for half precision."""
        return str(self.trainer.precision) == "16-mixed"

    @property
    def _in_parts(self) -> bool:
        """Whether an update's gradient comes from several batches, of several ranks or accumulated."""
        return self.trainer.world_size > 1 or self.trainer.accumulate_grad_batches > 1

    def _log_evaluation(self, split: str) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in self.evaluation.values().items()}, sync_dist=True)

"""One step of training and one pass of validation, for Lightning."""

import math
import time
from dataclasses import asdict
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from mme2e.config import TrainSettings
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.records import from_plain
from mme2e.scores.metrics import average, emotion_scores, one_choice, sigmoid, softmax
from mme2e.scores.thresholds import choose_thresholds, decide
from mme2e.training.data_module import EpochBatches
from mme2e.training.history import EpochRecord
from mme2e.training.losses import EmotionLoss, loss_of_modalities

MONITORED = "valid/macro_f1"


class EmotionModule(lightning.LightningModule):
    """A model, its loss, its optimizer and the record of its epochs.

    Args:
        model: Takes a `Batch`, returns logits (batch, emotions); its text branch, if any, is `model.text`.
        settings: How to train.
        pos_weight: (emotions,) weights of the positives; None weighs all alike.
        adjustment: (emotions,) what is added to the logits in training; None adds nothing.

    Attributes:
        history: Finished epochs; travels in the checkpoints.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainSettings,
        *,
        pos_weight: Tensor | None,
        adjustment: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.loss = EmotionLoss(settings.loss, pos_weight, adjustment)
        self.history: list[EpochRecord] = []
        self._validated: list[tuple[Tensor, Tensor]] = []
        self._scores: dict[str, float] = {}
        self._thresholds: tuple[float, ...] | None = None
        self._epoch_began = 0.0
        self._data_wait_share = 0.0

    def on_train_epoch_start(self) -> None:
        """Starts the clock."""
        self._epoch_began = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch.

        Raises:
            UserError: It is not a finite number.
        """
        fused, own = self._losses(batch)
        loss = fused + self.settings.modality_loss * own
        if not torch.isfinite(loss):
            raise UserError(self._explain_non_finite(loss.item()))
        # Without what the modalities lose on their own, so that it compares with the loss on validation.
        self.log("train/loss", fused, on_step=True, on_epoch=True, batch_size=len(batch), sync_dist=True)
        if self.trainer.world_size > 1:
            # Processes exchange the gradients of all weights; a branch whose modality the batch lacks has none.
            loss = loss + 0 * sum(parameter.sum() for parameter in self.model.parameters())
        return loss

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor | float]:
        """The loss of the fused logits, and that of the modalities' own where it is asked for."""
        targets = _targets(batch)
        if self.settings.modality_loss == 0:
            return self.loss(self.model(batch), targets), 0.0
        outputs = self.model.modality_outputs(batch)  # type: ignore[operator]
        outputs.require_any(batch.ids)
        fused = self.model.fusion(outputs.values, outputs.present)  # type: ignore[operator]
        return self.loss(fused, targets), loss_of_modalities(self.loss, outputs, targets)

    def _explain_non_finite(self, loss: float) -> str:
        settings = self.settings
        suspects = [f"learning_rate {settings.learning_rate:g} (lower it)"]
        if settings.gradient_clip == 0:
            suspects.append("gradient_clip 0 (the reference clips at 1)")
        if settings.precision == "16":
            suspects.append("precision 16 (use bf16 or 32)")
        return (
            f"the loss became {loss} in epoch {self.current_epoch + 1} at step {self.global_step + 1}; "
            f"likely to blame: {', '.join(suspects)}"
        )

    def on_validation_start(self) -> None:
        """Reads the clock of the data: the training part of the epoch ends here."""
        batches = self.trainer.train_dataloader
        assert isinstance(batches, EpochBatches)
        self._data_wait_share = batches.data_wait_share()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keeps logits and labels of one batch."""
        logits = self.model(batch).float()
        self.log("valid/loss", self.loss(logits, _targets(batch)), batch_size=len(batch), sync_dist=True)
        assert batch.labels is not None  # prepared corpora have labels
        self._validated.append((logits.cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Scores the whole validation split; every process has seen all of it."""
        logits, labels = (torch.cat(parts) for parts in zip(*self._validated, strict=True))
        self._validated.clear()
        if not torch.isfinite(logits).all():
            raise UserError(self._explain_non_finite(float("nan")))
        truth = labels.numpy() > 0
        if self.settings.loss == "ce":
            probabilities = softmax(logits.numpy())
            decisions = one_choice(probabilities)
            self._thresholds = None
        else:
            probabilities = sigmoid(logits.numpy())
            thresholds = choose_thresholds(probabilities, truth)
            decisions = decide(probabilities, thresholds)
            self._thresholds = tuple(float(threshold) for threshold in thresholds)
        scores = emotion_scores(probabilities, decisions, truth)
        self._scores = {
            MONITORED: average(scores.f1).value,
            "valid/auc": average(scores.auc).value,
            "valid/weighted_accuracy": average(scores.weighted_accuracy).value,
        }
        self.log_dict(self._scores, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Writes the epoch into the history, before checkpoints are saved."""
        self.history.append(
            EpochRecord(
                epoch=self.current_epoch + 1,
                step=self.global_step,
                learning_rate=self.optimizers().param_groups[-1]["lr"],  # type: ignore[union-attr]
                train_loss=self.trainer.callback_metrics["train/loss"].item(),
                valid_loss=self.trainer.callback_metrics["valid/loss"].item(),
                valid_macro_f1=self._scores[MONITORED],
                valid_auc=self._scores["valid/auc"],
                valid_weighted_accuracy=self._scores["valid/weighted_accuracy"],
                thresholds=self._thresholds,
                seconds=time.perf_counter() - self._epoch_began,
                data_wait_share=self._data_wait_share,
            )
        )
        self.log("data_wait_share", self._data_wait_share, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, with a slower text branch (reference section 2), and the learning rate's schedule by steps."""
        settings = self.settings
        text = getattr(self.model, "text", None)
        slow = [] if text is None else list(text.parameters())
        known = {id(parameter) for parameter in slow}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        groups = [
            {"params": slow, "lr": settings.learning_rate / settings.text_lr_factor},
            {"params": rest, "lr": settings.learning_rate},
        ]
        optimizer: torch.optim.Optimizer
        if settings.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, weight_decay=settings.weight_decay, momentum=settings.momentum)
        else:
            optimizer = torch.optim.Adam(groups, weight_decay=settings.weight_decay)
        if settings.scheduler == "none":
            return {"optimizer": optimizer}
        total = int(self.trainer.estimated_stepping_batches)
        warmup = settings.warmup_epochs * total / settings.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_factor(step, warmup, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the history."""
        checkpoint["history"] = [asdict(record) for record in self.history]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the history up again."""
        self.history = list(from_plain(tuple[EpochRecord, ...], checkpoint["history"], name="history"))


def _targets(batch: Batch) -> Tensor:
    """(batch, emotions), what the loss compares with; scores are always those of the labels."""
    assert batch.labels is not None  # prepared corpora have labels
    return batch.labels if batch.targets is None else batch.targets


def cosine_factor(step: int, warmup: float, total: int) -> float:
    """Factor on the learning rate: up in a straight line over `warmup` steps, then down a half cosine to zero.

    Args:
        step: Updates done, from 0.
        warmup: Steps of the rise; at most `total`.
        total: Steps in all.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(total - warmup, 1))))

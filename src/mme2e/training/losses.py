"""The loss over logits, and how much the rare emotions weigh in it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.config import LossKind
from mme2e.data.corpus import Corpus
from mme2e.errors import UserError
from mme2e.models.fusion import ModalityOutputs


class EmotionLoss(nn.Module):
    """One of four losses: of each emotion on its own, or (`ce`) over emotions that exclude each other.

    `l1` and `mse` compare the label with the probability, the sigmoid of the logit, so that decisions and thresholds
    mean the same as after `bce`; the reference would compare it with the logit itself.

    Args:
        kind: `bce` or `ce`, cross-entropies; `l1` or `mse`, absolute or squared distance.
        pos_weight: (emotions,) weight of the positives of each emotion; `bce` only, None weighs all alike.
        adjustment: (emotions,) what is added to the logits in training mode; `ce` only, None adds nothing.
    """

    def __init__(self, kind: LossKind, pos_weight: Tensor | None = None, adjustment: Tensor | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.pos_weight: Tensor | None
        self.register_buffer("pos_weight", pos_weight, persistent=False)
        self.adjustment: Tensor | None
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss.

        Args:
            logits: (batch, emotions).
            labels: (batch, emotions) float, 1 where present; exactly one a row for `ce`. Or shares of votes in [0, 1],
                of sum 1 in each row: then `ce` is the cross-entropy of two distributions, and `bce` takes each share
                for the probability of its emotion.
        """
        if self.kind == "ce":
            logits = logits.float()
            if self.training and self.adjustment is not None:
                logits = logits + self.adjustment
            return F.cross_entropy(logits, labels)
        if self.kind == "l1":
            return F.l1_loss(logits.float().sigmoid(), labels)
        if self.kind == "mse":
            return F.mse_loss(logits.float().sigmoid(), labels)
        return F.binary_cross_entropy_with_logits(logits.float(), labels, pos_weight=self.pos_weight)


def loss_of_modalities(loss: EmotionLoss, outputs: ModalityOutputs, labels: Tensor) -> Tensor:
    """Sum over the modalities of the loss of each one's own logits.

    In the fused logits the modality that is learnt fastest explains most labels, and the others get little gradient
    from then on (Wang et al. 2020, "What makes training multi-modal classification networks hard?"). This gives each
    of them its whole gradient all along.

    Args:
        loss: Of the fused logits.
        outputs: Logits of every modality.
        labels: (batch, emotions) float.

    Returns:
        A scalar. Utterances that lack a modality do not count in its loss; a modality that all of them lack does not
        count at all.
    """
    parts = zip(outputs.values.unbind(1), outputs.present.unbind(1), strict=True)
    return torch.stack([loss(logits[here], labels[here]) for logits, here in parts if here.any()]).sum()


def positive_weights(labels: np.ndarray) -> Tensor:
    """Negatives / positives of each emotion (reference section 2).

    An emotion that all or none of the utterances have teaches nothing: its weight is 1, as neither 0 nor infinity is
    of use.

    Args:
        labels: (utterances, emotions) of the training split.

    Returns:
        (emotions,) float32.
    """
    positives = labels.sum(axis=0)
    negatives = len(labels) - positives
    teaches = (positives > 0) & (negatives > 0)
    weights = np.divide(negatives, positives, out=np.ones(labels.shape[1]), where=teaches)
    return torch.from_numpy(weights.astype(np.float32))


def check_votes_exist(corpus: Corpus) -> None:
    """Refuses training on votes where there are none.

    Raises:
        UserError: No utterance of the training split has votes.
    """
    if corpus.votes("train") is None:
        raise UserError(
            f"targets votes requires votes of annotators, and no training utterance of {corpus.folder} has any: "
            "use targets labels, or prepare a corpus with votes"
        )


def logit_adjustment(labels: np.ndarray, strength: float) -> Tensor | None:
    """What the logits of frequent emotions get in training, so that the model need not give it to them.

    With the strength 1 the most probable emotion becomes the one that is right most often if all were equally
    frequent (Menon et al. 2021, "Long-tail learning via logit adjustment", section 5).

    Args:
        labels: (utterances, emotions) of the training split.
        strength: From 0, nothing, to 1.

    Returns:
        (emotions,) float32, strength * log(share), where an emotion that none has counts as one that one has; None for
        the strength 0.
    """
    if strength == 0:
        return None
    counts = np.maximum(labels.sum(axis=0), 1)
    return torch.from_numpy((strength * np.log(counts / counts.sum())).astype(np.float32))


def check_loss_fits(kind: LossKind, labels: np.ndarray, multi_label: bool) -> None:
    """Refuses `ce` where an utterance may have no emotion or several.

    Args:
        kind: The loss.
        labels: (utterances, emotions) of the training split.
        multi_label: What the corpus says of itself.

    Raises:
        UserError: The loss is `ce` and the corpus is multi-label, or a row has not exactly one emotion.
    """
    if kind != "ce":
        return
    if multi_label:
        raise UserError(
            "loss ce requires a corpus with one emotion per utterance; this one is multi-label: use loss bce"
        )
    others = int((labels.sum(axis=1) != 1).sum())
    if others:
        raise UserError(
            f"loss ce requires one emotion per utterance; {others} training utterances have none or several"
        )

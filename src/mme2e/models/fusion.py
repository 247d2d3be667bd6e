"""How what the modalities say becomes one answer: a weighted sum of logits, or one classifier over all features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.config import ModelSettings
from mme2e.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ModalityOutputs:
    """What each modality of a batch says, in the order of the fusion.

    Attributes:
        values: (batch, modalities, width), logits (late fusion) or features (early fusion); at least float32.
        present: (batch, modalities) bool, false where an utterance lacks the modality; `values` says nothing there.
    """

    values: Tensor
    present: Tensor

    @classmethod
    def of(
        cls, parts: list[tuple[Tensor | None, Tensor | None]], *, batch: int, width: int, like: Tensor
    ) -> "ModalityOutputs":
        """Puts modalities side by side.

        Args:
            parts: Values (batch, width) and presence (batch,) of each modality; None where the whole batch lacks it.
            batch: Utterances.
            width: Of the values.
            like: Gives device and dtype where the values are None.
        """
        values, present = [], []
        for out, here in parts:
            if out is None or here is None:
                out = like.new_zeros(batch, width)
                here = torch.zeros(batch, dtype=torch.bool, device=like.device)
            values.append(out.float() if out.dtype in (torch.float16, torch.bfloat16) else out)
            present.append(here)
        return cls(values=torch.stack(values, dim=1), present=torch.stack(present, dim=1))

    def require_any(self, ids: tuple[str, ...] | None) -> None:
        """Refuses utterances with nothing to look at.

        Args:
            ids: Of the utterances, if known.

        Raises:
            UserError: An utterance has no modality; the first is named.
        """
        empty = (~self.present.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            name = ids[empty[0]] if ids is not None else f"number {empty[0]} of the batch"
            raise UserError(f"utterance {name} has none of the modalities that the model uses: nothing to classify")


class WeightedFusion(nn.Module):
    """One bias-free weight for each modality, over logits (reference section 1).

    The weights start equal, at 1 / modalities; the reference draws them at random. A missing modality contributes
    nothing, and the others are scaled by the share of the weights that is missing, so that logits keep their size.
    When nothing is missing the result is the reference's.

    Args:
        num_modalities: Modalities to fuse; with one, its logits are returned as they are.
    """

    weight: nn.Parameter | None

    def __init__(self, num_modalities: int) -> None:
        super().__init__()
        weight = nn.Parameter(torch.full((1, num_modalities), 1 / num_modalities)) if num_modalities > 1 else None
        self.register_parameter("weight", weight)

    def forward(self, logits: Tensor, present: Tensor) -> Tensor:
        """Fuses the logits of each utterance.

        Args:
            logits: (batch, modalities, emotions).
            present: (batch, modalities) bool; at least one is true for each utterance.

        Returns:
            (batch, emotions).
        """
        if self.weight is None:
            return logits[:, 0]
        size = self.weight.abs()
        present_size = (size * present).sum(dim=1, keepdim=True)
        scale = size.sum() / present_size.clamp_min(torch.finfo(size.dtype).tiny)
        # Exactly the reference's sum where nothing is missing, whatever the rounding of the two sums above.
        scale = torch.where(present.all(dim=1, keepdim=True), torch.ones_like(scale), scale)
        weight = self.weight * present * scale
        kept = torch.where(present.unsqueeze(2), logits, torch.zeros_like(logits))
        return (weight.unsqueeze(2) * kept).sum(dim=1)


class EarlyFusion(nn.Module):
    """One linear classifier over the features of all modalities, side by side.

    Features pass a ReLU; those of a missing modality are zero. The reference parses `--fusion early` and never
    reads it, so there is nothing to be equal to.

    Args:
        num_modalities: Modalities to fuse.
        feature_dim: Features of each modality.
        num_emotions: Logits.
    """

    def __init__(self, num_modalities: int, feature_dim: int, num_emotions: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(num_modalities * feature_dim, num_emotions)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Classifies each utterance.

        Args:
            features: (batch, modalities, feature_dim).
            present: (batch, modalities) bool.

        Returns:
            (batch, emotions), float32 also where the classifier works in half precision.
        """
        kept = torch.where(present.unsqueeze(2), F.relu(features), torch.zeros_like(features))
        logits = self.classifier(kept.flatten(1))
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def head_width(settings: ModelSettings, num_emotions: int) -> int:
    """What each branch ends with: logits (late fusion) or features (early fusion)."""
    return settings.feature_dim if settings.fusion == "early" else num_emotions


def build_fusion(settings: ModelSettings, num_emotions: int) -> WeightedFusion | EarlyFusion:
    """The fusion that the settings describe; called with `ModalityOutputs`' values and presence."""
    used = len(settings.modalities)
    if settings.fusion == "early":
        return EarlyFusion(used, settings.feature_dim, num_emotions)
    return WeightedFusion(used)

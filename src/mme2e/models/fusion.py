"""Late fusion: a weighted sum of the logits of the modalities."""

import torch
from torch import Tensor, nn


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

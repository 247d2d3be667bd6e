"""The networks: plain modules that take a Batch and know no files."""

from torch import nn

from mme2e.config import ModelSettings
from mme2e.models.fe2e import FE2E
from mme2e.models.late_fusion import LateFusion
from mme2e.models.mesm import MESM

__all__ = ["FE2E", "MESM", "LateFusion", "build_model"]


def build_model(settings: ModelSettings, *, num_emotions: int, text_encoder: nn.Module | None = None) -> nn.Module:
    """Builds the network that the settings describe, with random weights.

    Args:
        settings: The network's name and sizes.
        num_emotions: Logits an utterance.
        text_encoder: What `mme2e.text.load_text` gives; needed when `settings.reads_tokens`.

    Returns:
        A module that takes a `Batch` and returns logits (batch, num_emotions), float32. The branches of the end-to-end
        models are `text`, `visual` and `acoustic`, None when unused; those of the baselines are in `branches`.

    Raises:
        ValueError: A text encoder is missing.
        UserError: The size of hand-crafted features is missing.
    """
    if settings.hand_crafted:
        return LateFusion(settings, num_emotions=num_emotions)
    kind = MESM if settings.name == "mesm" else FE2E
    return kind(settings, num_emotions=num_emotions, text_encoder=text_encoder)

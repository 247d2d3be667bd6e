"""The networks: plain modules that take a Batch and know no files."""

from torch import nn

from mme2e.config import ModelSettings
from mme2e.models.fe2e import FE2E

__all__ = ["FE2E", "build_model"]


def build_model(settings: ModelSettings, *, num_emotions: int, text_encoder: nn.Module | None = None) -> nn.Module:
    """Builds the network that the settings describe, with random weights.

    Args:
        settings: The network's name and sizes.
        num_emotions: Logits an utterance.
        text_encoder: Hugging Face encoder (`mme2e.text.load_text`); needed when the modalities hold t.

    Returns:
        A module that takes a `Batch` and returns logits (batch, num_emotions), float32. Its branches are `text`,
        `visual` and `acoustic`, None when unused.
    """
    return FE2E(settings, num_emotions=num_emotions, text_encoder=text_encoder)

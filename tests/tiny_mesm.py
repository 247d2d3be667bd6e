"""MESM small enough to look into, and utterances for it."""

from typing import Any

import torch
from torch import nn
from transformers import AlbertConfig

from mme2e.config import AttentionSettings, ModelSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.models import build_model
from mme2e.text import build_encoder

EMOTIONS = 3


def make_model(modalities: str = "tav", top_p: float = 0.6, *, name: str = "mesm", **attention: Any) -> nn.Module:
    """A model as training finds it."""
    torch.manual_seed(0)
    settings = ModelSettings(
        name=name, modalities=modalities, top_p=top_p, tower_channels=(4, 6, 8, 10), tower_dim=16, trans_dim=8,
        num_heads=2, num_layers=1, feedforward_dim=8, dropout=0.0, attention=AttentionSettings(**attention),
    )  # fmt: skip
    config = AlbertConfig(
        vocab_size=30, embedding_size=4, hidden_size=6, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    return build_model(settings, num_emotions=EMOTIONS, text_encoder=build_encoder(config))


def make_tiny(name: str = "mesm", modalities: str = "tav", top_p: float = 0.5, **attention: Any) -> nn.Module:
    """A model in evaluation mode, whose running averages let something through."""
    model = make_model(modalities, top_p, name=name, **attention)
    with torch.no_grad():
        model(make_utterances((3,), (3,)))
    return model.eval()


def make_utterances(frames: tuple[int, ...], chunks: tuple[int, ...]) -> Batch:
    """Noise, with so many face crops and mel chunks an utterance."""
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(60, 256, (sum(frames), 3, 48, 48), dtype=torch.uint8, generator=generator)
    return Batch(
        face_crops=Ragged(crops, torch.tensor(frames)),
        mel_chunks=Ragged(torch.rand(sum(chunks), 1, 128, 32, generator=generator), torch.tensor(chunks)),
        tokens=Ragged.from_padded(torch.randint(1, 30, (len(frames), 6), generator=generator)),
    )

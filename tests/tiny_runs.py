"""Models small enough to train in seconds, and run folders of them."""

from pathlib import Path
from typing import Any

import torch
from tiny_corpus import LABEL_NAMES

from mme2e.config import ModelSettings, TextSettings
from mme2e.models import build_model
from mme2e.runs.folder import RunInfo, save_run
from mme2e.text import load_text

TINY_MODEL = ModelSettings(
    text=TextSettings(model="scratch", vocab_size=60, hidden_dim=8, num_layers=1, num_heads=2),
    tower_channels=(4, 4, 8, 8),
    tower_dim=16,
    trans_dim=8,
    num_layers=1,
    num_heads=2,
    feedforward_dim=16,
)


def write_tiny_run(folder: Path, *, seed: int = 0, **info: Any) -> Path:
    """Writes a run folder with random weights, that tells the emotions of the tiny corpus.

    Args:
        folder: To be made.
        seed: Of the weights.
        info: Fields of `RunInfo` that are to be others.

    Returns:
        The folder.
    """
    usual: dict[str, Any] = {"model": TINY_MODEL, "label_names": LABEL_NAMES, "multi_label": False}
    run = RunInfo(**(usual | info))
    torch.manual_seed(seed)
    text = load_text(run.model.text, texts=["it was a furious lovely gloomy day"]) if run.model.reads_tokens else None
    encoder, tokenizer = (None, None) if text is None else (text.encoder, text.tokenizer)
    model = build_model(run.model, num_emotions=len(run.label_names), text_encoder=encoder)
    save_run(folder, model=model, tokenizer=tokenizer, info=run)
    return folder

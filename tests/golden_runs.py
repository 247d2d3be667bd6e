"""The reference's checkpoints with golden logits, imported."""

import lzma
from collections.abc import Callable
from pathlib import Path

from transformers import AlbertConfig

from mme2e.reference.import_checkpoint import import_checkpoint


def import_golden(name: str, folder: Path, shared: Callable[[str], Path]) -> Path:
    """Imports the reference's "fe2e" or "mesm"; returns the run, in a new folder."""
    folder.mkdir()
    path = folder / "reference.pt"
    path.write_bytes(lzma.decompress(shared(f"golden/{name}.pt.xz").read_bytes()))
    AlbertConfig(
        vocab_size=1000, embedding_size=16, hidden_size=768, num_hidden_layers=1, num_attention_heads=12,
        intermediate_size=64,
    ).save_pretrained(folder / "albert")  # fmt: skip
    import_checkpoint(path, folder / "run", text_model=str(folder / "albert"))
    path.unlink()
    return folder / "run"

"""Training, run folders and reference checkpoints."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.training.trainer import TrainResult, train

__all__ = ["TrainResult", "train"]


def __getattr__(name: str) -> object:
    # Lazy: run folders are read without Lightning.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mme2e.training import trainer

    return getattr(trainer, name)

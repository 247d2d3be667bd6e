"""Search for hyper-parameters on the validation split, through Optuna."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.search.run import search

__all__ = ["search"]


def __getattr__(name: str) -> object:
    # Lazy: the space is checked without torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mme2e.search import run

    return getattr(run, name)

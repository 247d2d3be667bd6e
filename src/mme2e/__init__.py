"""Emotions from raw video, sound and words.

>>> import mme2e
>>> recognizer = mme2e.load("runs/fe2e")
>>> recognizer.predict("clip.mp4", transcript="I cannot believe it!").decided
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mme2e.errors import MediaError, UserError
    from mme2e.inference.recognizer import Recognizer, load
    from mme2e.inference.result import EmotionResult

_HOMES = {
    "load": "mme2e.inference.recognizer",
    "Recognizer": "mme2e.inference.recognizer",
    "EmotionResult": "mme2e.inference.result",
    "UserError": "mme2e.errors",
    "MediaError": "mme2e.errors",
}

__all__ = ["EmotionResult", "MediaError", "Recognizer", "UserError", "load"]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import: `mme2e --help` should not.
    if name not in _HOMES:
        raise AttributeError(f"module 'mme2e' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)

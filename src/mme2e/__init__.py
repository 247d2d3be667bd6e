"""Emotions from raw video, audio and text.

>>> import mme2e
>>> recognizer = mme2e.load("runs/fe2e")
>>> recognizer.predict("clip.mp4", transcript="I cannot believe it!").decided

The commands of the command line are functions of the same names: `mme2e.prepare(...)`, `mme2e.train(...)`, ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mme2e.auditing.audit import audit
    from mme2e.benchmarking.benchmark import benchmark
    from mme2e.errors import MediaError, UserError
    from mme2e.evaluation.evaluate import evaluate
    from mme2e.experiments.experiment import experiment
    from mme2e.generated.writer import sample
    from mme2e.hand_crafted.features import features
    from mme2e.inference.picture import picture
    from mme2e.inference.recognizer import Recognizer, load
    from mme2e.inference.result import EmotionResult
    from mme2e.prediction.predict import predict
    from mme2e.preparation.compose import compose
    from mme2e.preparation.merge import merge
    from mme2e.preparation.prepare import prepare
    from mme2e.reference.import_checkpoint import import_checkpoint
    from mme2e.starter.build import build_starter
    from mme2e.training.train import train
    from mme2e.tuning.search import search

_HOMES = {
    "load": "mme2e.inference.recognizer",
    "Recognizer": "mme2e.inference.recognizer",
    "EmotionResult": "mme2e.inference.result",
    "UserError": "mme2e.errors",
    "MediaError": "mme2e.errors",
}
"""Where the public names are that are no verbs."""

__all__ = [
    "EmotionResult",
    "MediaError",
    "Recognizer",
    "UserError",
    "audit",
    "benchmark",
    "build_starter",
    "compose",
    "evaluate",
    "experiment",
    "features",
    "import_checkpoint",
    "load",
    "merge",
    "picture",
    "predict",
    "prepare",
    "sample",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import: `import mme2e` should not.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name not in __all__:
        raise AttributeError(f"module 'mme2e' has no attribute '{name}'")
    from mme2e.__main__ import VERBS

    return VERBS[name.replace("_", "-")].function

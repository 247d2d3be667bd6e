"""From any video to emotions."""

from mme2e.inference.recognizer import Recognizer, load
from mme2e.inference.request import parse_region, read_transcript, resolve_device
from mme2e.inference.result import Emotion, EmotionResult, check_writable
from mme2e.inference.selected_cells import SelectedCells, StageCells, selected_cells

__all__ = [
    "Emotion",
    "EmotionResult",
    "Recognizer",
    "SelectedCells",
    "StageCells",
    "check_writable",
    "load",
    "parse_region",
    "read_transcript",
    "resolve_device",
    "selected_cells",
]

"""Answers, names and transcripts as text that every format can hold. Nothing in them is markup."""

from dataclasses import fields, is_dataclass
from typing import Any

from mme2e.inference.timeline import FaceAt, Segment, Timeline
from mme2e.report import as_it_is
from mme2e.text_files import printable

NO_NAME = "(empty)"
"""In place of a label without a name, where a format needs a visible one."""


def all_printable(timeline: Timeline) -> Timeline:
    r"""The timeline with an escape (`\ud83d`, `\xe9`) for what cannot be written as UTF-8, in any of its texts."""
    found: Timeline = _printable(timeline)
    return found


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, tuple):
        # Positions of faces are most of a long timeline, and have no text.
        return value if value and isinstance(value[0], FaceAt | float) else tuple(map(_printable, value))
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: _printable(getattr(value, field.name)) for field in fields(value)})
    return value


def several_lines(text: str) -> str:
    r"""The text with line breaks as \n, and an escape for each other control character (`\x1b`)."""
    return as_it_is(text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    r"""The text without line breaks: white space is a single space, a control character its escape (`\x1b`)."""
    return as_it_is(" ".join(text.split()))


def label_text(label: str) -> str:
    """A label in one line; `NO_NAME` for one without a name."""
    return one_line(label) or NO_NAME


def decision_text(segment: Segment) -> str:
    """The decided emotions, "uncertain", "none" or "no answer", as `Segment.decision` in one line."""
    if not segment.emotions:
        return "no answer"
    return "uncertain" if segment.uncertain else ", ".join(map(label_text, segment.decided)) or "none"


def answer_text(segment: Segment) -> str:
    """The decision with probabilities, for people: "happy 0.83, surprised 0.61", or "uncertain (sad 0.41)"."""
    if segment.top is None:
        return "no answer"
    if segment.uncertain or not segment.decided:
        return f"{decision_text(segment)} ({label_text(segment.top.name)} {segment.top.probability:.2f})"
    decided = (emotion for emotion in segment.emotions if emotion.present)
    return ", ".join(f"{label_text(emotion.name)} {emotion.probability:.2f}" for emotion in decided)

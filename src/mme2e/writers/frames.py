"""A row a segment and person: pandas frame, CSV and Parquet."""

import csv
import io
from typing import TYPE_CHECKING

from mme2e.inference.timeline import Segment, Timeline
from mme2e.writers.wording import all_printable, several_lines

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "source": "string",
    "start_s": "float64",
    "end_s": "float64",
    "kind": "string",
    "person": "string",
    "speaker": "string",
    "chosen_by": "string",
    "choice_confidence": "float64",
    "text": "string",
    "decision": "string",
    "uncertain": "bool",
    "confidence": "float64",
    "used": "string",
    "missing": "string",
    "flags": "string",
    "frames": "int64",
    "frames_with_face": "int64",
}
"""Column -> its type in pandas; the columns of the emotions, which are float64, stand behind confidence."""


def frame_of(timeline: Timeline) -> "pd.DataFrame":
    """The segments as a table, in the order of the timeline.

    Beside those of `KINDS`, the columns are `p_<emotion>` for the raw, calibrated probability of each emotion, and
    `smoothed_<emotion>` where any segment has smoothed ones. What a segment does not have is missing: NaN in numbers,
    NA in text. `used` and `flags` are joined by ", ", `missing` is "modality: reason" joined by "; ".
    """
    import pandas as pd

    timeline = all_printable(timeline)
    labels = _labels(timeline)
    raw = {f"p_{label}": "float64" for label in labels}
    if any(segment.smoothed is not None for segment in timeline.segments):
        raw |= {f"smoothed_{label}": "float64" for label in labels}
    split = list(KINDS).index("confidence") + 1
    kinds = dict([*list(KINDS.items())[:split], *raw.items(), *list(KINDS.items())[split:]])
    rows = [_row(timeline.source, segment) for segment in timeline.segments]
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in kinds.items()})


def csv_bytes(timeline: Timeline) -> bytes:
    """CSV in UTF-8, text in quotes; missing values are empty.

    Text is written as it is: a spreadsheet may take a cell that begins with "=" for a formula (docs/formats.md).
    """
    return frame_of(timeline).to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).encode()


def parquet_bytes(timeline: Timeline) -> bytes:
    """Parquet, with the types of `KINDS`."""
    file = io.BytesIO()
    frame_of(timeline).to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def _labels(timeline: Timeline) -> list[str]:
    """The model's labels, and those that segments have beside them."""
    others = (emotion.name for segment in timeline.segments for emotion in segment.emotions)
    return [several_lines(label) for label in dict.fromkeys((*timeline.label_names, *others))]


def _row(source: str, segment: Segment) -> dict[str, object]:
    row: dict[str, object] = {
        "source": several_lines(source),
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "kind": segment.kind,
        "person": None if segment.person is None else several_lines(segment.person),
        "speaker": several_lines(segment.speaker),
        "chosen_by": segment.chosen_by,
        "choice_confidence": segment.choice_confidence,
        "text": None if segment.text is None else several_lines(segment.text),
        "decision": several_lines(segment.decision),
        "uncertain": segment.uncertain,
        "confidence": segment.confidence,
        "used": ", ".join(segment.used),
        "missing": "; ".join(f"{modality}: {several_lines(reason)}" for modality, reason in segment.missing.items()),
        "flags": ", ".join(segment.flags),
        "frames": segment.frames,
        "frames_with_face": segment.frames_with_face,
    }
    row |= {f"p_{several_lines(emotion.name)}": emotion.probability for emotion in segment.emotions}
    if segment.smoothed is not None:
        smoothed = zip(segment.emotions, segment.smoothed, strict=False)
        row |= {f"smoothed_{several_lines(emotion.name)}": probability for emotion, probability in smoothed}
    return row

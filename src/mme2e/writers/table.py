"""The table of formats by suffix, and how a timeline becomes a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mme2e.atomic import replacing
from mme2e.errors import UserError
from mme2e.inference.result import check_writable
from mme2e.inference.timeline import Timeline
from mme2e.writers.elan import eaf_bytes
from mme2e.writers.frames import csv_bytes, parquet_bytes
from mme2e.writers.json_files import json_bytes, json_lines_bytes
from mme2e.writers.rttm import rttm_bytes
from mme2e.writers.subtitles import srt_bytes, vtt_bytes
from mme2e.writers.textgrid import textgrid_bytes
from mme2e.writers.wording import all_printable

Writer = Callable[[Timeline], bytes]
"""Gives the content of a file; all texts of the timeline can be written as UTF-8, and may hold anything else."""

WRITERS: dict[str, Writer] = {
    ".json": json_bytes,
    ".jsonl": json_lines_bytes,
    ".csv": csv_bytes,
    ".parquet": parquet_bytes,
    ".srt": srt_bytes,
    ".vtt": vtt_bytes,
    ".eaf": eaf_bytes,
    ".TextGrid": textgrid_bytes,
    ".rttm": rttm_bytes,
}
"""By suffix, as the format's own programs spell it."""

FORMATS = tuple(WRITERS)
"""The suffixes that can be written; capitals do not matter."""


def require_format(path: Path) -> str:
    """The suffix of `FORMATS` that a file's name has, whatever its capitals; for checks before work is done.

    Raises:
        UserError: There is no such format.
    """
    for suffix in FORMATS:
        if path.suffix.lower() == suffix.lower():
            return suffix
    raise UserError(f"unknown format '{path.suffix}' of {path}; choose from {', '.join(FORMATS)}")


def timeline_bytes(timeline: Timeline, suffix: str) -> bytes:
    """The content of the file of a timeline.

    Args:
        timeline: The timeline.
        suffix: One of `FORMATS`.
    """
    return WRITERS[suffix](all_printable(timeline))


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Writes a timeline in the format that the suffix names; the file appears whole or not at all.

    Raises:
        UserError: The suffix is unknown, or the file cannot be written.
    """
    suffix = require_format(path)
    try:
        check_writable(path)
        content = timeline_bytes(timeline, suffix)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def timeline_schema() -> dict[str, Any]:
    """The JSON Schema of the `.json` format."""
    return Timeline.schema()

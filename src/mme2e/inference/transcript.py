"""The transcript of a recording, as it is given on the command line."""

import os
from pathlib import Path

from mme2e.errors import UserError
from mme2e.text_files import printable, read_text

SUFFIXES = (
    ".ass", ".csv", ".eaf", ".json", ".jsonl", ".lrc", ".md", ".rttm", ".sbv", ".srt", ".ssa", ".sub", ".textgrid",
    ".tsv", ".ttml", ".txt", ".vtt", ".xml",
)  # fmt: skip
"""Of files that transcripts and subtitles come in."""

LONGEST_NAME = 4096


def read_transcript(given: str | None) -> str | None:
    """The text itself, or the content of the file that it names; it can be written (see `printable`).

    Raises:
        UserError: The file is no text; or what is given looks like a file and there is none.
    """
    if given is None or len(given) > LONGEST_NAME or "\n" in given:
        return given if given is None else printable(given)
    path = Path(given)
    if _exists(path):
        return read_text(path).strip()
    if _looks_like_a_file(given):
        raise UserError(f"there is no file {given}; expected is a text file, or the text itself")
    return printable(given)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or of characters that none has
        return False


def _looks_like_a_file(given: str) -> bool:
    """A suffix of a transcript at the end, or a folder before the name; in a sentence a slash is a slash ("24/7")."""
    if given.lower().endswith(SUFFIXES):
        return True
    separators = {os.sep, os.altsep or os.sep}
    if not separators & set(given):
        return False
    return len(given.split()) == 1 or given[0] in separators or Path(given).parent.is_dir()

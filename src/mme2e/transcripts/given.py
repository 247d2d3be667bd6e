"""The transcript of a recording, as it is given on the command line: a file of any format, or the text itself."""

import os
from pathlib import Path

from mme2e.errors import UserError
from mme2e.text_files import printable
from mme2e.transcripts.cues import Cue, Transcript
from mme2e.transcripts.read import read_transcript_file

SUFFIXES = (
    ".ass", ".csv", ".eaf", ".json", ".jsonl", ".lrc", ".md", ".rttm", ".sbv", ".srt", ".ssa", ".sub", ".textgrid",
    ".tsv", ".ttml", ".txt", ".vtt", ".xml",
)  # fmt: skip
"""Of files that transcripts and subtitles come in."""

LONGEST_NAME = 4096


def given_transcript(given: str) -> Transcript:
    """The transcript in the file that is named, or the text itself as one cue without times.

    Raises:
        UserError: The file is no transcript; or what is given looks like a file and there is none.
    """
    if len(given) <= LONGEST_NAME and "\n" not in given:
        path = Path(given)
        if _exists(path):
            return read_transcript_file(path)
        if _looks_like_a_file(given):
            raise UserError(f"there is no file {given}; expected is a text file, or the text itself")
    cue = Cue(start_s=None, end_s=None, text=printable(given))
    return Transcript(cues=(cue,) if given.strip() else (), source="")


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

"""Transcript files of any format: one table of readers by suffix."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mme2e.errors import UserError
from mme2e.text_files import printable, read_text
from mme2e.transcripts.cues import Cue, Transcript
from mme2e.transcripts.elan import read_eaf
from mme2e.transcripts.recognised import read_json
from mme2e.transcripts.subtitles import read_ass, read_srt, read_vtt
from mme2e.transcripts.text_grid import read_text_grid
from mme2e.transcripts.tidying import Found, tidied

LARGEST_FILE_MB = 64
"""A transcript of a day takes one."""


def read_plain(text: str) -> Found:
    """The whole text as one cue without times."""
    return Found([("the text", Cue(start_s=None, end_s=None, text=printable(text).strip()))])


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of transcripts.

    Attributes:
        name: For people, with its article.
        read: Finds the cues in the text of a file; raises ValueError where it is no such file.
    """

    name: str
    read: Callable[[str], Found]


PLAIN = Format(name="a text", read=read_plain)
READERS = {
    ".srt": Format(name="a SubRip file", read=read_srt),
    ".vtt": Format(name="a WebVTT file", read=read_vtt),
    ".ass": Format(name="an ASS file", read=read_ass),
    ".ssa": Format(name="an SSA file", read=read_ass),
    ".eaf": Format(name="an ELAN file", read=read_eaf),
    ".textgrid": Format(name="a TextGrid", read=read_text_grid),
    ".json": Format(name="a JSON file of Whisper or FunASR", read=read_json),
}
"""By suffix in lower case; what is not here is taken by its content (see `format_of`)."""


def format_of(path: Path, text: str) -> Format:
    """The format of a file: by its suffix, else by how it begins, else plain text."""
    known = READERS.get(path.suffix.lower())
    if known is not None:
        return known
    start = text.lstrip()[:2000]
    if start.startswith("WEBVTT"):
        return READERS[".vtt"]
    if start.startswith("[Script Info]"):
        return READERS[".ass"]
    if '"ooTextFile"' in start and '"TextGrid"' in start:
        return READERS[".textgrid"]
    if start.startswith("<?xml") and "<ANNOTATION_DOCUMENT" in start:
        return READERS[".eaf"]
    if "-->" in start.partition("\n")[0] or "-->" in start.partition("\n")[2].partition("\n")[0]:
        return READERS[".srt"]
    if start.startswith(('{"', "[{", "{\n", "[\n", "{\r", "[\r")):
        return READERS[".json"]
    return PLAIN


def read_transcript_file(path: Path) -> Transcript:
    """Reads a transcript: SRT, VTT, ASS, SSA, EAF, TextGrid, JSON of Whisper or FunASR, or plain text.

    Returns:
        Its cues in the order of time, with remarks on what was left out; without any for a file without text. Plain
        text is one cue without times.

    Raises:
        UserError: It cannot be read, is too large or is not of the format that its name says.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise UserError(f"{path} is no file; expected is a transcript")
    if size > LARGEST_FILE_MB << 20:
        raise UserError(f"{path} has {size >> 20} MB; a transcript has at most {LARGEST_FILE_MB} MB")
    text = read_text(path)
    if not text.strip():
        return Transcript(cues=(), source=printable(path.name), remarks=("it is empty",))
    kind = format_of(path, text)
    try:
        found = kind.read(text)
    except ValueError as error:
        raise UserError(f"{path} is not {kind.name}: {error}") from error
    return tidied(found, path.name)

"""The transcript that lies beside a recording."""

import re
from pathlib import Path

from mme2e.errors import UserError
from mme2e.text_files import composed, read_text
from mme2e.transcripts.read import LARGEST_FILE_MB
from mme2e.transcripts.recognised import read_json

PREFERRED = (".srt", ".vtt", ".ass", ".ssa", ".eaf", ".textgrid", ".json", ".txt")
"""Suffixes of sidecar files, the first that is found is taken."""

_LANGUAGE = re.compile(r"\.[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}")


def find_sidecar(recording: Path) -> Path | None:
    """The transcript that lies beside a recording and is called as it, with or without a language (`talk.en.srt`).

    Of several it is the first in the order of `PREFERRED`; of these the one without a language, then the first by name.
    What mme2e writes is none: files named `*.mme2e.*`, and its JSON. Other JSON is none either unless it is
    Whisper's or FunASR's.
    """
    stem = composed(recording.stem)
    try:
        beside = sorted(path for path in recording.parent.iterdir() if path.suffix.lower() in PREFERRED)
    except OSError:
        return None
    candidates = []
    for path in beside:
        name = composed(path.stem)
        if not name.startswith(stem) or name.lower().endswith(".mme2e") or path == recording or not path.is_file():
            continue
        language = name[len(stem) :]
        if not language or _LANGUAGE.fullmatch(language):
            candidates.append((PREFERRED.index(path.suffix.lower()), language, path))
    for _, _, path in sorted(candidates):
        if path.suffix.lower() != ".json" or _is_transcript(path):
            return path
    return None


def _is_transcript(path: Path) -> bool:
    """Whether a JSON file is one of speech recognition."""
    try:
        if path.stat().st_size > LARGEST_FILE_MB << 20:
            return False
        read_json(read_text(path))
    except (OSError, UserError, ValueError):
        return False
    return True

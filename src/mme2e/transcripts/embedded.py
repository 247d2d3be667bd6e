"""The subtitle track within a recording."""

import re
from pathlib import Path

from mme2e.media.decoder import DecoderProcess
from mme2e.transcripts.cues import Cue, Transcript
from mme2e.transcripts.subtitles import named
from mme2e.transcripts.tidying import Found, plain_text, tidied, with_speaker

SOURCE = "subtitle track"

_BREAK = re.compile(r"\\[Nnh]")


def embedded_transcript(path: Path, decoder: DecoderProcess, track: int | None = None) -> Transcript | None:
    """The transcript of a recording's subtitle track; None where it has no such track.

    Where the subtitles are images, the transcript has no cues, and a remark reports it.

    Args:
        path: Recording.
        decoder: Reads it; for one thread at a time.
        track: Number among the subtitle tracks, from 0; the one that a player takes if None.

    Raises:
        MediaError: The recording cannot be read.
    """
    subtitles = decoder.read_subtitles(path, track)
    found = Found(remarks=list(subtitles.remarks))
    for number, line in enumerate(subtitles.lines, start=1):
        cue = Cue(start_s=line.start_s, end_s=line.end_s, text=plain_text(_BREAK.sub(" ", line.text)))
        found.cues.append((f"subtitle {number}", with_speaker(cue, line.speaker)))
    if not any(cue.speaker for _, cue in found.cues):
        found = named(found)
    transcript = tidied(found, SOURCE)
    return transcript if transcript.cues or transcript.remarks else None

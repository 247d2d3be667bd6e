"""Transcripts of recordings: read from files, subtitle tracks and speech recognition, and cut into sentences."""

from mme2e.transcripts.cues import Cue, TimedWord, Transcript, Turn
from mme2e.transcripts.given import given_transcript
from mme2e.transcripts.read import read_transcript_file
from mme2e.transcripts.sentences import sentences
from mme2e.transcripts.sidecar import find_sidecar
from mme2e.transcripts.turns import read_turns

__all__ = [
    "Cue",
    "TimedWord",
    "Transcript",
    "Turn",
    "find_sidecar",
    "given_transcript",
    "read_transcript_file",
    "read_turns",
    "sentences",
]

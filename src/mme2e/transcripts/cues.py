"""What a transcript consists of: cues with their times and speakers, and who speaks when. Records only."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TimedWord:
    """A word and when it is said.

    Attributes:
        text: The word with its punctuation, without white space around it.
        start_s: Where it begins in the recording, seconds.
        end_s: Where it ends; not before it begins.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A stretch of a transcript: a subtitle, an interval of a tier, a sentence.

    Attributes:
        start_s: Where it begins in the recording, seconds; None where not known.
        end_s: Where it ends; None where not known, and only then when `start_s` is.
        text: What is said, without markup.
        speaker: Who says it; empty where not known.
        words: With their times, in order; empty where these are not known.
    """

    start_s: float | None
    end_s: float | None
    text: str
    speaker: str = ""
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What is said in a recording.

    Attributes:
        cues: In the order of time; several may cover the same time.
        source: Where it comes from: a file's name, "subtitle track"; empty for a text that was given as it is.
        remarks: What was left out or put in order.
    """

    cues: tuple[Cue, ...]
    source: str
    remarks: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether there are cues, and the times of all are known."""
        return bool(self.cues) and all(cue.start_s is not None for cue in self.cues)

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(cue.text for cue in self.cues)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A stretch in which somebody speaks.

    Attributes:
        start_s: Where it begins in the recording, seconds.
        end_s: Where it ends.
        speaker: Who speaks.
    """

    start_s: float
    end_s: float
    speaker: str

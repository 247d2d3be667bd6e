"""What is requested of an analysis, and what it reports while it runs. Records only, no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mme2e.config.analysis import DEFAULTS, AnalysisSettings
from mme2e.inference.timeline import Segment
from mme2e.media.recording import Interval
from mme2e.transcripts.cues import Transcript, Turn

WHOLE = Interval()
"""From the start of a recording to its end."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """How recordings are analysed; plain data, which travels to other processes.

    Attributes:
        settings: Segments, people, evidence.
        interval: Stretch, region and channel.
        video_track: Number among the video tracks; None: the one that a player takes.
        audio_track: The same of the audio tracks.
        channel_per_speaker: Whether each audio channel is one speaker, as calls are recorded.
        transcript: What is said, for a single recording.
        turns: Who speaks when, for a single recording.
        look_for_words: Whether subtitles beside the recording and in it are read.
    """

    settings: AnalysisSettings = DEFAULTS
    interval: Interval = WHOLE
    video_track: int | None = None
    audio_track: int | None = None
    channel_per_speaker: bool = False
    transcript: Transcript | None = None
    turns: tuple[Turn, ...] = ()
    look_for_words: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """What an analysis has found, as plain data, to go on from after an interruption. They add up: see `+`.

    Attributes:
        reached_s: Up to where all segments are known.
        segments: They, as JSON has them.
        faces: Person -> times and boxes, in order.
        people: Person -> for how long they spoke, and how often under which name.
        tracker: State of the people tracker.
    """

    reached_s: float
    segments: tuple[dict[str, Any], ...] = ()
    faces: dict[str, list[list[float]]] = field(default_factory=dict)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    tracker: dict[str, Any] | None = None

    def __add__(self, later: "Progress") -> "Progress":
        faces = {
            person: [*self.faces.get(person, []), *later.faces.get(person, [])] for person in self.faces | later.faces
        }
        return replace(later, segments=self.segments + later.segments, faces=faces)


class Journal(Protocol):
    """Keeps what an analysis finds, so that it can go on after an interruption."""

    def read(self) -> Progress | None:
        """What an interrupted try had found."""
        ...

    def add(self, news: Progress) -> None:
        """Keeps more."""
        ...


OnGroup = Callable[[tuple[Segment, ...], float, float | None], None]
"""Called with new segments, the time up to where all are known, and the length that the file claims."""

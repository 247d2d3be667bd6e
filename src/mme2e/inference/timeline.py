"""The answer about a recording: who shows which emotion when, and what that rests on. Records only, no torch.

It is also a file format: `Timeline.schema()` is its JSON Schema, and `SCHEMA_VERSION` changes with it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mme2e.errors import UserError
from mme2e.inference.result import Emotion
from mme2e.records import json_schema, plain, read_record, to_json
from mme2e.text_files import printable

SCHEMA_VERSION = 1

SegmentKind = Literal["speech", "no speech", "window", "whole"]
"""How a segment came about: somebody speaks (or the transcript has a sentence there), nobody does, it is a window of
equal length, or the whole stretch that was asked for."""

PersonChoice = Literal["mouth", "largest", "only", "turn", "asked"]
"""Why a person was taken for the one who speaks: the mouth moves with the audio, the face is the largest one, it is the
only one, a speaker turn names it, or the timeline is one of every person."""

FLAGS = (
    "no face",
    "small face",
    "low light",
    "blur",
    "silence",
    "clipping",
    "noise",
    "no words",
    "no speech",
    "damage",
)
"""What lowers the quality of a segment. Small face: its shorter side is less than 48 px. Low light: mean brightness of
the crops below 50 of 255. Blur: see `mme2e.inference.quality`. Silence, clipping, noise: of the audio."""


@dataclass(frozen=True, kw_only=True)
class WordEffect:
    """What a word of the transcript does.

    Attributes:
        text: The word, as it was written.
        effect: Probability of the segment's most probable emotion with the word minus without it; -1..1.
    """

    text: str
    effect: float


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a face crop or a piece of audio does.

    Attributes:
        modality: "visual" or "acoustic".
        start_s: Where it begins in the recording, seconds.
        end_s: Where it ends.
        effect: Probability of the segment's most probable emotion with it minus without it; -1..1.
        image: The face crop (48 x 48) as PNG, or the mel spectrogram (128 bands, the lowest at the bottom) as grey PNG,
            in base64.
        sites: Rows of the map of its sites, each 0..1: the share of the attention's stages in which the site was kept;
            empty for models that compute all sites.
    """

    modality: Literal["visual", "acoustic"]
    start_s: float
    end_s: float
    effect: float
    image: str
    sites: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why a segment got its answer. All effects are on the probability of its most probable emotion.

    Attributes:
        emotion: The most probable emotion, which the evidence is about.
        probability: Its probability with everything.
        without: Modality -> the probability without it; only modalities that were used, and none where it is the only
            one.
        words: Of the text, in order; empty without text.
        moments: Those with the largest effect, the largest first; a few of each modality.
    """

    emotion: str
    probability: float
    without: dict[str, float] = field(default_factory=dict)
    words: tuple[WordEffect, ...] = ()
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FaceAt:
    """Where a person's face is at one time.

    Attributes:
        time_s: Seconds.
        box: x1, y1, x2, y2 in pixels of the upright frame.
    """

    time_s: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody whose face is seen, or who is named as a speaker.

    Attributes:
        id: "person 1", "person 2", ... in the order of their first appearance.
        name: Of the speaker in transcript or turns, where it could be matched; else empty.
        visible_s: For how long the face is seen.
        speaking_s: For how long the person was taken for the one who speaks.
        thumbnail: A clear face of theirs as JPEG in base64; empty without a face.
        faces: Where the face is, in the order of time.
    """

    id: str
    name: str = ""
    visible_s: float = 0.0
    speaking_s: float = 0.0
    thumbnail: str = ""
    faces: tuple[FaceAt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a recording that has one answer.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: Its end.
        kind: How it came about.
        person: Id of the person whose face was read; None where no face was.
        chosen_by: Why that person; None where no face was read.
        choice_confidence: How sure that choice is, 0..1; None without a person.
        speaker: Name that the transcript or the turns give; empty where they give none.
        text: What is said; None where not known.
        emotions: In the order of the run's label names; the raw probabilities, calibrated. Empty where nothing that the
            model uses was there.
        uncertain: Whether the model abstained.
        used: Modalities that the answer rests on: "text", "acoustic", "visual".
        missing: Modality -> why it could not be used.
        flags: Some of `FLAGS`.
        frames: Sampled video frames.
        frames_with_face: Those in which the person's face was seen.
        notes: Anything else that a reader should know.
        smoothed: Probabilities smoothed over neighbouring segments of the person, in the order of `emotions`; None
            where nobody asked.
        evidence: Why; None where nobody asked.
    """

    start_s: float
    end_s: float
    kind: SegmentKind
    person: str | None = None
    chosen_by: PersonChoice | None = None
    choice_confidence: float | None = None
    speaker: str = ""
    text: str | None = None
    emotions: tuple[Emotion, ...] = ()
    uncertain: bool = False
    used: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    frames: int = 0
    frames_with_face: int = 0
    notes: tuple[str, ...] = ()
    smoothed: tuple[float, ...] | None = None
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        # Files' names and foreign transcripts need not be Unicode.
        object.__setattr__(self, "missing", {name: printable(reason) for name, reason in self.missing.items()})
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))
        object.__setattr__(self, "speaker", printable(self.speaker))
        object.__setattr__(self, "text", None if self.text is None else printable(self.text))

    @property
    def top(self) -> Emotion | None:
        """The most probable emotion; None where there is no answer."""
        return max(self.emotions, key=lambda emotion: emotion.probability, default=None)

    @property
    def confidence(self) -> float | None:
        """The calibrated probability of the most probable emotion; None where there is no answer."""
        return None if self.top is None else self.top.probability

    @property
    def decided(self) -> tuple[str, ...]:
        """Names of the emotions that were decided to be present; may be empty."""
        return tuple(emotion.name for emotion in self.emotions if emotion.present)

    @property
    def decision(self) -> str:
        """The decided emotions in one text, or "uncertain", or "none" where none is, or "no answer"."""
        if not self.emotions:
            return "no answer"
        return "uncertain" if self.uncertain else ", ".join(self.decided) or "none"


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """Which model answered.

    Attributes:
        name: One line for people.
        run: The run, as it was given.
        weights_sha256: Checksum of its weights; empty when unknown.
        mme2e: Version of the program.
        card: The model card in Markdown, where the run has one.
    """

    name: str
    run: str
    weights_sha256: str = ""
    mme2e: str = ""
    card: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The answer about one recording.

    Attributes:
        source: Name of the recording's file.
        duration_s: As far as it could be decoded, seconds.
        label_names: Emotions of the model.
        model: Which model answered.
        settings: How it was analysed: the settings of the analysis by name.
        segments: In the order of time; with a timeline for every person, several may cover the same time.
        people: In the order of their first appearance.
        words_from: Where the words come from: a file's name, "subtitle track", "speech recognition with ..."; empty
            without words.
        notes: What a reader should know about the whole recording: damage, missing tracks.
        complete: Whether the recording was analysed to its end.
        seconds: Stage -> wall-clock seconds.
        schema_version: Version of this layout.
    """

    source: str
    duration_s: float
    label_names: tuple[str, ...]
    model: ModelIdentity
    settings: dict[str, str | float | bool | None] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    people: tuple[Person, ...] = ()
    words_from: str = ""
    notes: tuple[str, ...] = ()
    complete: bool = True
    seconds: dict[str, float] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", printable(self.source))
        object.__setattr__(self, "words_from", printable(self.words_from))
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))

    def to_json(self) -> str:
        """The text of its JSON file, which `read_timeline` reads."""
        return to_json(self, indent=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        found: dict[str, Any] = plain(self)
        return found

    @staticmethod
    def schema() -> dict[str, Any]:
        """The JSON Schema of the file."""
        return json_schema(Timeline)


def read_timeline(path: Path) -> Timeline:
    """Reads a timeline from its JSON file.

    Raises:
        UserError: It cannot be read, is damaged or of a newer version.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    return read_record(Timeline, path, version=("schema_version", SCHEMA_VERSION))

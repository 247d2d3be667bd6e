"""The records that every corpus reader yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mme2e.media.region import Region
from mme2e.text_files import printable


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One labelled stretch of one recording. Its texts can be written: see `printable`.

    Attributes:
        id: Unique within the corpus.
        recording: Dialogue or video that it is cut from.
        speaker: Who speaks; the recording's id where the corpus does not say.
        start_s: Start within the recording, seconds.
        end_s: End within the recording, seconds; None means the end of the file.
        text: Transcript; None when missing.
        labels: Names of the emotions present, a subset of the corpus' label names; may be empty (multi-label).
        votes: How much annotators gave each emotion, numbers above 0 by label name; empty where nothing is known.
        split: "train", "valid", "test" or None while no protocol has been applied.
        video: File with the video; None when missing.
        images: Still frames in order, where there is no video.
        images_per_s: How many still frames make a second; None: each of them is a sampled frame.
        face_crop: Whether each image is a face already, so that none is looked for in it.
        audio: File with the audio; None when missing.
        region: Part of the video or image that shows the speaker; None is all of it.
        audio_channel: Channel with the speaker's microphone, counted from 0; None mixes all.
        video_track: Number among the video tracks of the file, from 0; None: the one that a player takes.
        audio_track: The same of the audio tracks.
        square_pixels: Whether the video is seen as a player shows it; else as it is stored, as the reference does.
    """

    id: str
    recording: str
    speaker: str
    start_s: float
    end_s: float | None
    text: str | None
    labels: tuple[str, ...]
    votes: tuple[tuple[str, float], ...] = ()
    split: str | None = None
    video: Path | None = None
    images: tuple[Path, ...] = ()
    images_per_s: float | None = None
    face_crop: bool = False
    audio: Path | None = None
    region: Region | None = None
    audio_channel: int | None = None
    video_track: int | None = None
    audio_track: int | None = None
    square_pixels: bool = True

    def __post_init__(self) -> None:
        for name in ("id", "recording", "speaker"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        object.__setattr__(self, "text", None if self.text is None else printable(self.text))
        object.__setattr__(self, "labels", tuple(map(printable, self.labels)))
        object.__setattr__(self, "votes", tuple((printable(label), votes) for label, votes in self.votes))


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An utterance, line or file that was left out. Its texts can be written: see `printable`.

    Attributes:
        item: Utterance id, or "file:line" where no id is known.
        reason: One line for people.
    """

    item: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "item", printable(self.item))
        object.__setattr__(self, "reason", printable(self.reason))


def first_reason(skipped: Sequence[Skipped]) -> str:
    """The end of a message that nothing can be used: why the first of them was left out; empty where none was."""
    return f"; the first reason: {skipped[0].item}: {skipped[0].reason}" if skipped else ""


@dataclass(frozen=True, kw_only=True)
class RawCorpus:
    """What a corpus reader returns.

    Attributes:
        name: "iemocap", "mosei", ...
        label_names: All emotions, in the order of the logits.
        multi_label: Whether an utterance may have none or several.
        utterances: In a stable order.
        skipped: What could not be used, with reasons.
        split_protocol: What the splits are, one phrase for tables; of no meaning while no utterance has one.
        listed: How many ids the split lists name, by split; empty where there are no lists.
    """

    name: str
    label_names: tuple[str, ...]
    multi_label: bool
    utterances: tuple[Utterance, ...]
    skipped: tuple[Skipped, ...] = field(default=())
    split_protocol: str = "as the corpus has them"
    listed: dict[str, int] = field(default_factory=dict)

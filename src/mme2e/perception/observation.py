"""What was seen and heard in an interval of a recording, and what was not."""

import enum
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mme2e.faces.face_crop import FaceCrop
from mme2e.media.recording import StreamReport

SHORT_S = 0.5
"""A track that ends this much before its interval is reported; annotators' ends are not more exact."""


class Quality(enum.Enum):
    """What a note says of a modality."""

    MISSING = "missing"  # nothing of it can be used
    INCOMPLETE = "incomplete"  # some of it lacks, or is damaged
    REMARK = "remark"  # worth knowing; nothing lacks


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something to know about the video or the audio of an interval.

    Attributes:
        modality: "visual" or "acoustic".
        quality: What kind of note it is.
        reason: Why, in one line.
        extent: How much there is of how much, of an incomplete one; may be empty.
        unreadable: Whether a file is damaged or cannot be read, as opposed to ending early.
        no_track: Whether it is a readable file without such a track or channel.
    """

    modality: str
    quality: Quality
    reason: str
    extent: str = ""
    unreadable: bool = False
    no_track: bool = False

    def __str__(self) -> str:
        track = "video" if self.modality == "visual" else "audio"
        if self.quality is Quality.REMARK:
            return f"{track}: {self.reason}"
        extent = f", {self.extent}" if self.extent else ""
        return f"{track} {self.quality.value}{extent}: {self.reason}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What was seen and heard in one interval.

    Attributes:
        position: Of the interval in the list that was asked for.
        start_s: Its start, seconds from the start of the recording.
        end_s: Its end; of an open end, where the longer one of video and audio ended.
        faces: One a sampled frame.
        frames_expected: How many frames the interval asks for.
        samples: (samples,) int16, 16 kHz mono; sample i belongs to `start_s` + i / 16000.
        open_ended: Whether the interval was to go to the end of the recording.
        video_file: Where the video was to come from; None when none was asked for.
        audio_file: The same of the audio.
        video: What became of the video.
        audio: What became of the audio.
        surroundings: Of the audio around the interval and in it, what `mme2e.media.mel_statistics.statistics_of` gives
            (257 numbers); None where nobody asked for it.
        of_stills: Whether image files stand for the video, of which `video_file` is the first.
    """

    position: int
    start_s: float
    end_s: float
    faces: tuple[FaceCrop, ...]
    frames_expected: int
    samples: np.ndarray
    open_ended: bool
    video_file: Path | None
    audio_file: Path | None
    video: StreamReport
    audio: StreamReport
    surroundings: tuple[float, ...] | None = None
    of_stills: bool = False

    @property
    def frames_with_face(self) -> int:
        """Sampled frames in which a face was seen."""
        return sum(face.flag.has_face for face in self.faces)

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a frame nor a sample."""
        return not self.faces and not len(self.samples)

    @property
    def covered_to_s(self) -> float:
        """Where the longer one of video and audio ended, `end_s` at most; the start where there is neither."""
        tracks = ((len(self.faces), self.video), (len(self.samples), self.audio))
        ends_s = [self.end_s if report.end_s is None else report.end_s for found, report in tracks if found]
        return min(self.end_s, max(ends_s, default=self.start_s))

    @property
    def starts_after_its_files(self) -> bool:
        """Whether files that can be read have ended before the interval starts."""
        asked = [
            report
            for file, report in ((self.video_file, self.video), (self.audio_file, self.audio))
            if file is not None and not _has_no_such_track(report)
        ]
        return bool(asked) and self.is_empty and not any(report.unreadable or report.damage for report in asked)

    @property
    def files_end_s(self) -> float | None:
        """Where the longer one of video and audio ended, if that is known and before the end of the interval."""
        return max((r.end_s for r in (self.video, self.audio) if r.end_s is not None), default=None)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What lacks of the video and of the audio, and remarks; at most one note of each that something lacks."""
        remarks = [
            Note(modality=modality, quality=Quality.REMARK, reason=remark)
            for modality, report in (("visual", self.video), ("acoustic", self.audio))
            for remark in report.remarks
        ]
        return (*(note for note in (self._video_note(), self._audio_note()) if note is not None), *remarks)

    def _video_note(self) -> Note | None:
        if self.video_file is None:
            return None
        found, expected = len(self.faces), self.frames_expected
        if self.open_ended:  # no track of a file ends exactly with the others
            short = self.video.end_s is not None and self.end_s - self.video.end_s >= SHORT_S
        else:
            short = found < expected
        why = "its images end before" if self.of_stills else f"{self.video_file.name} ends before"
        if self.faces and self.faces[0].time_s > self.start_s and self.video.end_s is None:
            why = f"{self.video_file.name} has no video before {self.faces[0].time_s:.1f} s"
        extent = f"{found} of {expected} frames" if short and found else ""
        return _note("visual", self.video, self.video_file, why, found=found, short=short, extent=extent)

    def _audio_note(self) -> Note | None:
        if self.audio_file is None:
            return None
        expected_s, found_s = self.end_s - self.start_s, len(self.samples) / 16_000
        short = expected_s - found_s >= SHORT_S
        extent = f"{found_s:.1f} of {expected_s:.1f} s" if short and found_s else ""
        why = f"{self.audio_file.name} ends before"
        return _note("acoustic", self.audio, self.audio_file, why, found=len(self.samples), short=short, extent=extent)


def _note(
    modality: str, report: StreamReport, file: Path, why: str, *, found: int, short: bool, extent: str
) -> Note | None:
    damage = f"{file.name} is damaged: {report.damage}" if report.damage else None
    quality = Quality.INCOMPLETE if found else Quality.MISSING
    if found and not short and report.missing is None:
        if damage is None:
            return None
        return Note(modality=modality, quality=quality, reason=damage, unreadable=True)
    reason = report.missing or damage or why
    return Note(
        modality=modality,
        quality=quality,
        reason=reason,
        extent=extent,
        unreadable=report.unreadable or (report.missing is None and damage is not None),
        no_track=_has_no_such_track(report),
    )


def _has_no_such_track(report: StreamReport) -> bool:
    return report.missing is not None and not report.unreadable


def count_frames(start_s: float, end_s: float, frame_interval_ms: float) -> int:
    """How many times `mme2e.media.video.frame_times` would list, whatever the end claims."""
    step_s = frame_interval_ms / 1000
    count = max(0, math.ceil((end_s - start_s) / step_s))
    # The products of `frame_times` decide, not the quotient.
    while count and start_s + (count - 1) * frame_interval_ms / 1000 >= end_s - 1e-9:
        count -= 1
    return count

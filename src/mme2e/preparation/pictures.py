"""Face crops of the utterances of one video: one pass, one frame after the other."""

import io
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from mme2e.errors import MediaError
from mme2e.media.notes import Damage
from mme2e.media.region import Region
from mme2e.media.video import Frame, frame_times, read_regions
from mme2e.preparation.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mme2e.faces.face_crop import FaceCrop

PNG_LEVEL = 1
"""Least effort: three times as fast as zlib's default and a twentieth larger on face crops."""

PNG_STRATEGY = zlib.Z_RLE
"""Only runs of one byte are looked for: on face crops a seventh faster than zlib's default, and a fiftieth smaller."""


class Tracker(Protocol):
    """What is used of `mme2e.faces.FaceTracker`."""

    def crops(self, frames: Iterable[Frame]) -> Iterator["FaceCrop"]:
        """One crop a frame; those of one region in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The sampled frames of one utterance; a list has one element a frame.

    Attributes:
        wanted: Frames that its interval asks for.
        crops: PNG files of 48x48 RGB.
        times_s: Within the recording.
        flags: `FaceFlag` values.
        boxes: x1 y1 x2 y2 in pixels of the frame, or of the region where there is one.
        error: Why the video could not be read (on), or which images could not; None where all could.
        damage: What was wrong with the video in this interval; after a break-off, or at the end, with all of it.
    """

    wanted: int = 0
    crops: list[bytes] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    error: str | None = None
    damage: str = ""

    def add(self, crop: "FaceCrop", png: bytes) -> None:
        """Adds a frame: its crop and the same as a PNG file."""
        self.crops.append(png)
        self.times_s.append(crop.time_s)
        self.flags.append(int(crop.flag))
        self.boxes.append([float(edge) for edge in crop.box])


Interval = tuple[Region | None, float, float]
"""Part of the picture that shows the speaker, None being all of it; start and end in seconds."""


def pictures(
    video: Path,
    intervals: Sequence[Interval],
    frame_interval_ms: float,
    tracker: Tracker,
    stopwatch: Stopwatch,
) -> Iterator[tuple[int, Picture]]:
    """Follows the face of each region through all intervals of a video, in one pass, and hands each its crops.

    An interval comes out as soon as its last frame is done, so that memory holds the open ones only, as PNG.

    Args:
        video: File to read.
        intervals: Of each utterance; they may overlap.
        frame_interval_ms: Time between two frames.
        tracker: Finds the faces.
        stopwatch: Counts the stages "decode", "faces" and "encode".

    Yields:
        Position of the interval and its picture; each once. A video that cannot be read (on) gives the intervals
        concerned what was read so far and the `error`.
    """
    times_s = [frame_times(start_s, end_s, frame_interval_ms) for _, start_s, end_s in intervals]
    wanting: dict[tuple[float, Region | None], list[int]] = defaultdict(list)
    for position, times in enumerate(times_s):
        for time_s in times:
            wanting[time_s, intervals[position][0]].append(position)
    open_pictures = {position: Picture(wanted=len(times)) for position, times in enumerate(times_s)}
    damage = Damage()
    lost_packets: dict[float, int] = {}
    misfits: dict[Region, str] = {}
    wanted = sorted(wanting, key=lambda asked: asked[0])
    decoded = _with_losses(read_regions(video, wanted, damage=damage, misfits=misfits), damage, lost_packets)
    frames = stopwatch.each("decode", decoded)
    error = None
    try:
        for crop in stopwatch.each("faces", tracker.crops(frames)):
            with stopwatch.stage("encode"):
                png = encode_png(crop.crop)
            for position in wanting[crop.time_s, crop.region]:
                open_pictures[position].add(crop, png)
                if crop.time_s == times_s[position][-1]:
                    lost = sum(n for lost_s, n in lost_packets.items() if times_s[position][0] <= lost_s <= crop.time_s)
                    yield position, replace(open_pictures.pop(position), damage=str(Damage(lost_packets=lost)))
    except MediaError as media_error:
        error = str(media_error)
    for position, picture in open_pictures.items():
        region = intervals[position][0]
        reason = error if region is None else misfits.get(region, error)
        reason = None if reason is None else reason.replace(str(video), video.name)
        yield position, replace(picture, error=reason, damage=str(damage))


def _with_losses(frames: Iterable[Frame], damage: Damage, lost_packets: dict[float, int]) -> Iterator[Frame]:
    """Passes on frames and notes, by requested time, how many packets were lost on the way to a frame.

    They count for all regions: for every interval that this time lies in.
    """
    before = 0
    for frame in frames:
        if damage.lost_packets > before:
            lost_packets[frame.requested_s] = damage.lost_packets - before
        before = damage.lost_packets
        yield frame


def encode_png(crop: np.ndarray) -> bytes:
    """Packs a crop, (48, 48, 3) uint8 RGB, into a PNG file."""
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "png", compress_level=PNG_LEVEL, compress_type=PNG_STRATEGY)
    return file.getvalue()

"""Media files as FFmpeg sees them: opening, tracks, what they claim, decoding, and which way is up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.format import Flags
from av.sidedata.sidedata import Type as SideDataType

from mme2e.errors import MediaError
from mme2e.media.notes import Damage
from mme2e.media.wav import claimed_wav_s

CONTAINER_TICKS_PER_S = 1_000_000  # FFmpeg's AV_TIME_BASE: unit of the container's duration and start
ESTIMATED_LENGTHS = {"mp3", "aac", "ac3", "eac3", "mpeg", "h264", "hevc", "mpegvideo"}
"""Formats without a header that states a length: FFmpeg divides the size of the file by a bit rate."""

NO_MEMORY = "decoding it takes more memory than there is"
WIDEST_PIXEL = 4
"""Real pixels are at most twice as wide as high; memory must not follow what a file claims."""


def open_container(path: Path | str) -> Any:
    """Opens a media file for reading; use it in a `with` statement.

    Raises:
        MediaError: The file is missing, empty or no media file.
    """
    if not Path(path).is_file():
        raise MediaError(f"{path} is not a file")
    # With its protocol spelled out, `take:1.mp4` is a file; and a playlist that is given as a recording reaches no net.
    try:
        return av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:  # also that it claims more than there is memory for
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path} cannot be read as video or audio: {reason}") from error


def start_of_clock_s(container: Any) -> float:
    """The container's earliest timestamp in seconds, which every time is counted from."""
    return (container.start_time or 0) / CONTAINER_TICKS_PER_S


def claimed_end_s(path: Path | str, container: Any, stream: Any) -> float | None:
    """Where a track ends as the container claims, in seconds from the start of the recording.

    None where it claims nothing, where that may be the end of another track, and where FFmpeg has only estimated it.
    """
    if container.format.name == "wav":
        return claimed_wav_s(path)
    if container.format.name in ESTIMATED_LENGTHS or may_leap(container):
        return None
    if stream.duration is not None:
        start = stream.start_time or 0
        return float((start + stream.duration) * stream.time_base) - start_of_clock_s(container)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / CONTAINER_TICKS_PER_S
    return None


def may_leap(container: Any) -> bool:
    """Whether the format is one whose time stamps may leap or begin again within a file."""
    return bool(container.format.flags & Flags.ts_discont.value)


def decoded(packets: Iterable[Any], damage: Damage | None = None) -> Iterator[Any]:
    """Frames of packets; what cannot be decoded is passed over. A damaged packet costs its own frames."""
    damage = damage if damage is not None else Damage()
    for packet in packets:
        try:
            yield from packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            damage.lost_packets += not packet.is_corrupt


def video_tracks(container: Any) -> list[Any]:
    """The video streams that can be decoded; the cover image of a song is none."""
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if stream.codec_context and not stream.disposition & cover]


def audio_tracks(container: Any) -> list[Any]:
    """The audio tracks that can be decoded."""
    return [stream for stream in container.streams.audio if stream.codec_context]


def chosen_track(tracks: list[Any], number: int | None) -> int | None:
    """Number of the track to read: the one asked for, else the first that is marked as default, else the first.

    None where there is no such track.
    """
    if number is not None:
        return number if 0 <= number < len(tracks) else None
    default = (place for place, stream in enumerate(tracks) if stream.disposition & av.stream.Disposition.default)
    return next(default, 0 if tracks else None)


def shown_size(stream: Any, width_px: int, height_px: int, damage: Damage) -> tuple[int, int]:
    """Width and height of a stored frame when its pixels are made square: as high as stored, as players show it."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect == 1:
        return width_px, height_px
    if not 1 / WIDEST_PIXEL <= aspect <= WIDEST_PIXEL:
        damage.remarks["aspect"] = f"its pixels claim to be {float(aspect):.3g} times as wide as high: taken as square"
        return width_px, height_px
    return max(1, round(width_px * aspect)), height_px


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become the upright frame: one of the eight symmetries of a rectangle."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False

    @classmethod
    def of(cls, frame: Any) -> "Orientation":
        """Reads the display matrix [[a, b, u], [c, d, v], [x, y, w]]: x' = a x + c y, y' = b x + d y.

        The angle alone (`frame.rotation`) would turn a mirrored frame upside down.
        """
        side_data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
        if side_data is None:
            return cls()
        (a, b, _), (c, d, _), _ = np.frombuffer(side_data, dtype=np.int32).reshape(3, 3).astype(np.int64)
        if abs(c) > abs(a):
            return cls(transpose=True, flip_columns=bool(c < 0), flip_rows=bool(b < 0))
        return cls(flip_columns=bool(a < 0), flip_rows=bool(d < 0))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Turns a stored image (height, width, channels) upright; a view."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.flip_columns:
            image = image[:, ::-1]
        return image[::-1] if self.flip_rows else image

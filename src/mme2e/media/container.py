"""Media files as FFmpeg sees them: opening, the clock, streams, packets, and which way is up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from mme2e.errors import MediaError

CONTAINER_TICKS_PER_S = 1_000_000  # FFmpeg's AV_TIME_BASE: unit of the container's duration and start


def open_container(path: Path | str) -> Any:
    """Opens a media file for reading; use it in a `with` statement.

    Raises:
        MediaError: The file is missing, empty or no media file.
    """
    if not Path(path).is_file():
        raise MediaError(f"{path} is not a file")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as video or sound: {error.strerror or error}") from error


def start_of_clock_s(container: Any) -> float:
    """The container's earliest timestamp in seconds, which every time is counted from."""
    return (container.start_time or 0) / CONTAINER_TICKS_PER_S


@dataclass
class Damage:
    """What was wrong with a file on the way through it; the reader that it is given to counts while it reads.

    Attributes:
        lost_packets: Packets that were cut off or could not be decoded.
        broke_off_s: Where the stream ended before its time, in seconds on the container's clock; None otherwise.
        told_end_s: Where it was to end as the container tells; None unless it broke off.
    """

    lost_packets: int = 0
    broke_off_s: float | None = None
    told_end_s: float | None = None

    def __bool__(self) -> bool:
        return self.lost_packets > 0 or self.broke_off_s is not None

    def __str__(self) -> str:
        """Both in a few words; empty without damage."""
        parts = []
        if self.lost_packets:
            parts.append(f"{self.lost_packets} packet{'s' * (self.lost_packets > 1)} could not be decoded")
        if self.broke_off_s is not None:
            parts.append(f"it breaks off at {self.broke_off_s:.1f} of {self.told_end_s:.1f} s")
        return ", ".join(parts)


def demuxed(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """Packets of one stream from where the container stands. A file that cannot be read on ends, and that is damage."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            damage.lost_packets += 1
            return
        damage.lost_packets += packet.is_corrupt
        yield packet


def decoded(packets: Iterable[Any], damage: Damage | None = None) -> Iterator[Any]:
    """Frames of packets; what cannot be decoded is passed over. A damaged packet costs its own frames."""
    damage = damage if damage is not None else Damage()
    for packet in packets:
        try:
            yield from packet.decode()
        except av.FFmpegError:
            damage.lost_packets += not packet.is_corrupt


def frames_of(container: Any, stream: Any) -> Iterator[Any]:
    """All frames of one stream from where the container stands, however damaged it is."""
    return decoded(demuxed(container, stream, Damage()))


def video_stream(container: Any) -> Any:
    """The first moving picture; None when there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    return None


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become the upright picture: one of the eight symmetries of a rectangle."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False

    @classmethod
    def of(cls, frame: Any) -> "Orientation":
        """Reads the display matrix [[a, b, u], [c, d, v], [x, y, w]]: x' = a x + c y, y' = b x + d y.

        The angle alone (`frame.rotation`) would turn a mirrored picture upside down.
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

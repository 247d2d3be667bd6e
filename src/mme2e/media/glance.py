"""Small grey images of a video at short intervals: enough to see whether a mouth moves, and cheap.

They are made of the brightness that the video stores, without a conversion of its colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mme2e.errors import MediaError
from mme2e.media.container import NO_MEMORY

if TYPE_CHECKING:
    from mme2e.media.cursor import VideoCursor

GLANCE_PX = 320
"""Most pixels of the longer side."""


@dataclass(frozen=True, kw_only=True)
class Glance:
    """All of the upright frame that is on display at one time, small and grey.

    Attributes:
        time_s: Time that was asked for, seconds on the container's clock.
        image: (height, width) uint8, brightness 0..255; the longer side has at most 320 pixels.
        scale: Pixels of `image` for one pixel of the frame, at most 1.
    """

    time_s: float
    image: np.ndarray
    scale: float


class Glancer:
    """Makes glances of decoded frames.

    Args:
        cursor: Stands in the video; it knows which way is up.
    """

    def __init__(self, cursor: "VideoCursor") -> None:
        self._cursor = cursor
        self._converter = VideoReformatter()
        self._frame: Any = None
        self._latest: tuple[np.ndarray, float] | None = None

    def look(self, frame: Any, time_s: float) -> Glance | None:
        """The glance of a frame; the one before where this frame is damaged, None where there is none.

        Raises:
            MediaError: There is not enough memory.
        """
        if frame is not self._frame:
            self._frame = frame
            try:
                self._latest = self._converted(frame)
            except MemoryError as error:
                raise MediaError(NO_MEMORY) from error
            except av.FFmpegError:
                pass
        return None if self._latest is None else Glance(time_s=time_s, image=self._latest[0], scale=self._latest[1])

    def _converted(self, frame: Any) -> tuple[np.ndarray, float]:
        width_px, height_px = self._cursor.shown_size(frame)
        scale = min(1.0, GLANCE_PX / max(width_px, height_px))
        grey = self._converter.reformat(
            frame,
            width=max(1, round(scale * width_px)),
            height=max(1, round(scale * height_px)),
            format="gray8",
            interpolation=Interpolation.AREA,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        upright = self._cursor.orientation.apply(grey.to_ndarray()[..., None])[..., 0]
        return np.ascontiguousarray(upright), scale


def glance_times(intervals: Sequence[tuple[float, float | None]], interval_ms: float) -> Iterator[float]:
    """Multiples of the interval, in seconds, that lie in any of the intervals (start, end), ascending, each once.

    Raises:
        ValueError: `interval_ms` is not positive.
    """
    if interval_ms <= 0:
        raise ValueError(f"glance_interval_ms must be positive, not {interval_ms}")
    step_s = interval_ms / 1000
    following = 0
    for start_s, end_s in sorted(intervals, key=lambda each: each[0]):
        following = max(following, int(np.ceil(start_s / step_s - 1e-9)))
        while end_s is None or following * step_s < end_s - 1e-9:
            yield following * step_s
            following += 1

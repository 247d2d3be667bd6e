"""Packets on their way to the decoder: read ahead up to the time asked for, so that those nobody needs are not decoded.

Two kinds are not needed. Packets before a key frame that is still in time, if the decoder starts afresh there: nothing
after it is predicted from what was before. And packets of frames that a later one replaces before the time asked for,
if no other frame is predicted from them; of these the decoder itself knows which they are.

What is left out is not decoded, and damage in it stays unseen: it cannot be in a frame that was asked for.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

TIME_TOLERANCE_S = 1e-4  # timestamps are rounded to the container's ticks; a frame this late is still in time
MOST_BYTES_AHEAD = 8 << 20  # a second of the densest video; more is decoded as it comes
FRESH_CODECS = {"mpeg4", "mjpeg", "flv", "vp8", "vp9"}  # every key frame of theirs forgets all that was before
FRESH_UNITS = {"h264": (0, 0x1F, {5}), "hevc": (1, 0x3F, {16, 17, 18, 19, 20})}
"""Others call some frames key frames that later ones reach behind: only units of these types count. Of each codec the
bits of a unit's first byte that give the type: how far to shift them, and their mask."""


class _Ahead(NamedTuple):
    packet: Any
    time_s: float
    fresh: bool


class PacketsAhead:
    """The packets of a stream that are worth decoding, in the stream's order; iterate over it to feed the decoder.

    Args:
        packets: All packets of the stream from where its container stands.
        stream: It.
        seconds: Turns the stream's ticks into seconds on the container's clock.
    """

    def __init__(self, packets: Iterator[Any], stream: Any, seconds: Callable[[int], float]) -> None:
        self._packets = packets
        self._codec = stream.codec_context
        self._seconds = seconds
        self._starts_afresh = fresh_starts(self._codec.name, self._codec.extradata)
        self._queue: deque[_Ahead] = deque()
        self._queued_bytes = 0
        self._later_s: list[float] = []  # times of frames, read or decoded, that come after the target
        self._newest_s = -math.inf
        self._target_s = -math.inf
        self._read_to_s = -math.inf  # no frame before this is still to be read
        self._all_timed = True  # whether all packets so far had a time stamp
        self._ended = False
        self._leaving_out = False
        self._codec.skip_frame = "DEFAULT"

    def look(self, target_s: float) -> None:
        """Reads ahead until it is known which frame is on display at a time; times ascend."""
        self._target_s = target_s + TIME_TOLERANCE_S
        self._newest_s = max((s for s in self._later_s if s <= self._target_s), default=self._newest_s)
        self._later_s = [s for s in self._later_s if s > self._target_s]
        fresh = [i for i, ahead in enumerate(self._queue) if ahead.fresh and ahead.time_s <= self._target_s]
        if fresh:
            self._leave_out_before(fresh[-1])
        while self._may_read_on():
            self._read()
            last = self._queue[-1] if self._queue else None
            if last is not None and last.fresh and last.time_s <= self._target_s:
                self._leave_out_before(len(self._queue) - 1)

    def waiting(self) -> list[Any]:
        """Packets that were read and not handed to the decoder."""
        return [ahead.packet for ahead in self._queue]

    def newest_s(self) -> float | None:
        """Time of the frame that is on display at the time that was looked for; None where packets do not show it."""
        return self._newest_s if self._all_timed and self._read_to_s > self._target_s else None

    def __iter__(self) -> Iterator[Any]:
        while True:
            if not self._queue:
                self._read()
            if not self._queue:
                return
            ahead = self._queue.popleft()
            self._queued_bytes -= ahead.packet.size
            superseded = ahead.time_s < self._newest_s
            if superseded != self._leaving_out:
                self._codec.skip_frame = "NONREF" if superseded else "DEFAULT"
                self._leaving_out = superseded
            yield ahead.packet

    def _may_read_on(self) -> bool:
        room = self._queued_bytes < MOST_BYTES_AHEAD
        return room and self._all_timed and not self._ended and self._read_to_s <= self._target_s

    def _read(self) -> None:
        """Puts the next packet, if there is one, into the queue."""
        packet = next(self._packets, None)
        if packet is None:
            self._ended = True
            return
        time_s, fresh = math.inf, False
        if packet.dts is not None:
            self._read_to_s = max(self._read_to_s, self._seconds(packet.dts))
        if packet.pts is not None:
            time_s = self._seconds(packet.pts)
            if not packet.is_corrupt:
                fresh = packet.is_keyframe and self._starts_afresh(packet)
                if time_s > self._target_s:
                    self._later_s.append(time_s)
                elif time_s > self._newest_s:
                    self._newest_s = time_s
        elif packet.size:  # the last packet of all is empty
            self._all_timed = False
        self._queue.append(_Ahead(packet, time_s, fresh))
        self._queued_bytes += packet.size

    def _leave_out_before(self, position: int) -> None:
        """Drops what is in the queue before a key frame, unless something there is to be shown after it."""
        if all(self._queue[i].time_s < self._queue[position].time_s for i in range(position)):
            for _ in range(position):
                self._queued_bytes -= self._queue.popleft().packet.size


def fresh_starts(codec: str, extradata: bytes | None) -> Callable[[Any], bool]:
    """A function that says of a key frame's packet whether nothing after it needs what was before it.

    Args:
        codec: FFmpeg's name.
        extradata: Of the stream; it says how H.264 and H.265 packets are put together.
    """
    if codec not in FRESH_UNITS:
        return lambda packet: codec in FRESH_CODECS
    shift, mask, wanted = FRESH_UNITS[codec]
    length_at = {"h264": 4, "hevc": 21}[codec]
    length_bytes = 0
    if extradata and extradata[0] == 1 and len(extradata) > length_at:  # else units begin with 0 0 1
        length_bytes = (extradata[length_at] & 3) + 1

    def is_fresh(packet: Any) -> bool:
        data = bytes(packet)
        return any((data[i] >> shift) & mask in wanted for i in unit_starts(data, length_bytes) if i < len(data))

    return is_fresh


def unit_starts(data: bytes, length_bytes: int) -> Iterator[int]:
    """Where the units of an H.264 or H.265 packet begin.

    Args:
        data: The packet.
        length_bytes: Of the number before each unit that holds its length; 0: units begin after the bytes 0 0 1.
    """
    start = 0
    while length_bytes and start + length_bytes < len(data):
        length = int.from_bytes(data[start : start + length_bytes], "big")
        yield start + length_bytes
        start += length_bytes + length
    while not length_bytes and (start := data.find(b"\0\0\1", start) + 3) >= 3:
        yield start

"""One clock for the tracks of a file: time stamps in, seconds from the start of the recording out.

The recording starts at 0 with its earliest time stamp, wherever the file's own clock begins. A file may be several
recordings that were joined (transport streams, Ogg chains), or the clock may have been set while it was recorded: the
time stamps then leap forwards, run backwards or wrap. Such a leap is closed: what follows it in the file follows in
time. All tracks share the parts between the leaps, so that video and audio that belonged together stay together, in
whichever order their packets come; and nothing that is read ever lasts as long as a time stamp claims.

A hole is no leap: a track may pause as long as it likes while another one goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEAP_S = 60.0
"""Time stamps that run ahead by more are a leap. Below that it may be a still frame or a silence."""

BROADCAST_LEAP_S = 10.0
"""The same in formats whose clocks are known to leap, as FFmpeg has it."""

BACK_S = 1.0
"""Time stamps that run back by more are a leap; capturing devices correct themselves by less."""

BACK_ALONE_S = 0.1
"""The same where no other track could be brought out of step."""

NEARBY_S = 5.0
"""How far before the first time stamp of a part another track's may lie and belong to the same part."""

MOST_PARTS = 16
"""So many are remembered; a file that has more of them at a time is damaged."""


@dataclass
class _Part:
    """A stretch of the file without a leap."""

    first_s: float  # by the file's clock
    last_s: float
    shift_s: float  # to be added


@dataclass
class _Track:
    ticks: int
    per_s: int
    back_s: float
    part: _Part
    expected_s: float  # when the next packet is due, by the file's clock
    anywhere: bool = False  # the next packet is the first after a jump
    started: bool = False


class RecordingClock:
    """Shifts the time stamps of packets, in file order, so that they count from the start of the first part.

    Packets of a file without leaps stay as they are: `origin_s` is not taken off.

    Args:
        origin_s: Earliest time stamp of the file, in seconds.
        leaps: Whether the format is one whose clock may leap or begin again.
        remark: Is given one line about the leaps, which replaces the line before.
    """

    def __init__(self, origin_s: float, *, leaps: bool, remark: Callable[[str], None]) -> None:
        self._origin_s = origin_s
        self._leap_s = BROADCAST_LEAP_S if leaps else LEAP_S
        self._remark = remark
        self._parts = [_Part(first_s=origin_s, last_s=origin_s, shift_s=0.0)]
        self._tracks: dict[int, _Track] = {}
        self._end_s = origin_s  # of all that came, after shifting
        self._leaps = 0
        self._first_leap = ""

    def add_track(self, index: int, ticks: int, per_s: int, *, back_s: float) -> None:
        """A track whose packets will come.

        Args:
            index: Its number.
            ticks: So many ticks of its time stamps
            per_s: are so many seconds.
            back_s: By how much its time stamps may run back.
        """
        self._tracks[index] = _Track(
            ticks=ticks, per_s=per_s, back_s=back_s, part=self._parts[0], expected_s=self._origin_s
        )

    def jumped(self) -> None:
        """The next packets come from elsewhere in the file; their time stamps are taken as they are."""
        for track in self._tracks.values():
            track.anywhere = True

    def seek_s(self, time_s: float) -> float:
        """Where a time of the recording is by the file's clock, if no leap lies between here and there."""
        return time_s + self._origin_s - self._parts[-1].shift_s

    def place(self, packet: Any, index: int) -> None:
        """Moves a packet's time stamps to where they belong.

        A packet without a decoding time belongs to the part of the packet before it.
        """
        track = self._tracks[index]
        ticks = packet.dts
        if ticks is not None:
            time_s = ticks * track.ticks / track.per_s
            ahead_s = time_s - track.expected_s
            if not -track.back_s <= ahead_s <= self._leap_s:
                self._leave_part(track, time_s, ahead_s)
            track.started, track.anywhere = True, False
            track.expected_s = time_s + min((packet.duration or 0) * track.ticks / track.per_s, self._leap_s)
            part = track.part
            if time_s > part.last_s:
                part.last_s = time_s
            if track.expected_s + part.shift_s > self._end_s:
                self._end_s = track.expected_s + part.shift_s
        if packet.pts is not None and not track.anywhere:
            self._hold_back(packet, track)
        if track.part.shift_s:
            shift = round(track.part.shift_s * track.per_s / track.ticks)
            packet.dts = None if ticks is None else ticks + shift
            packet.pts = None if packet.pts is None else packet.pts + shift

    def _hold_back(self, packet: Any, track: _Track) -> None:
        """A packet is shown near the time when it is decoded or due; what claims otherwise is shown then."""
        due = packet.dts if packet.dts is not None else round(track.expected_s * track.per_s / track.ticks)
        if abs(packet.pts - due) * track.ticks > self._leap_s * track.per_s:
            packet.pts = due
            self._remark("time stamps that lie far off were corrected")

    def _leave_part(self, track: _Track, time_s: float, ahead_s: float) -> None:
        """Finds the part of a packet that does not come when it is due; opens one where there is none."""
        if track.anywhere or (not track.started and ahead_s < 0):  # what is decoded first may be shown later
            return
        if ahead_s > 0 and track.part.last_s >= time_s - self._leap_s:  # a hole: another track went on
            return
        here = next((number for number, part in enumerate(self._parts) if part is track.part), 0)
        for part in self._parts[here + 1 :]:
            if part.first_s - NEARBY_S <= time_s <= part.last_s + self._leap_s:
                track.part = part
                return
        for part in self._parts[:here]:  # back from a single wrong time stamp
            if part.last_s - track.back_s <= time_s <= part.last_s + self._leap_s:
                track.part = part
                return
        at_s = self._end_s - self._origin_s
        kind = "begin again" if ahead_s < 0 else f"leap ahead by {ahead_s:.1f} s"
        self._leaps += 1
        self._first_leap = self._first_leap or f"the time stamps {kind} at {at_s:.1f} s"
        times = "" if self._leaps == 1 else f" (the first of {self._leaps} leaps)"
        self._remark(f"{self._first_leap}{times}: what follows was joined on")
        track.part = _Part(first_s=time_s, last_s=time_s, shift_s=self._end_s - time_s)
        self._parts = [*self._parts[-MOST_PARTS:], track.part]

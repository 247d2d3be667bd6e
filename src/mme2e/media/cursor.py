"""Going forward through one video: which frame is on display when."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from mme2e.errors import MediaError
from mme2e.media.audio_cuts import AudioCollector, JumpError
from mme2e.media.container import NO_MEMORY, Orientation, claimed_end_s, decoded, shown_size
from mme2e.media.packets import TIME_TOLERANCE_S, PacketsAhead
from mme2e.media.source import MediaSource

SEEK_GAP_S = 4.0  # decoding 4 s of video costs about as much as a jump and the run-up from its key frame
BREAK_OFF_S = 0.5  # containers round the durations that they claim; a video shorter than that by more was cut off
EARLY_S = 0.1  # a first frame that comes so much later than the audio stands for the time before it
LONGEST_HOLD_S = 10.0  # the last frame is shown no longer, whatever its duration claims to be
LAG_S = 5.0  # the audio of a time is no further behind in a file than its video
THREADED_PX = 1 << 20  # larger frames are decoded by two threads; for smaller ones that doubles the work
LARGE_THREADS = 2  # more threads hold more frames in memory and gain little beside worker processes


class VideoCursor:
    """Stands in one video, moves forward and knows which frame is on display.

    Args:
        source: The open file; it stands at its start.
        audio: Takes the packets of the audio track on the way; None: nobody does.
        square_pixels: Whether frames are shown with square pixels, as players show them, or as they are stored.

    Attributes:
        orientation: Of the first frame: which way is up.
        begins_s: When the first frame comes on display.
        end_s: When the last one ends; None before that is known.

    Raises:
        MediaError: The file has no video, or no frame of it can be decoded.
    """

    def __init__(self, source: MediaSource, audio: AudioCollector | None = None, *, square_pixels: bool = True) -> None:
        self._source = source
        self._audio = audio
        self._damage = source.video_damage
        self._square_pixels = square_pixels
        self._seek_gap_s = SEEK_GAP_S
        self.end_s: float | None = None
        self._begin()

    def _begin(self) -> None:
        """Stands on the first frame."""
        self._stream = self._source.video
        if self._stream is None:
            raise MediaError(f"{self._source.path} has no video")
        size_px = self._stream.width * self._stream.height
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = LARGE_THREADS if size_px > THREADED_PX else 1
        self._seconds = self._source.seconds(self._stream)
        self._frame_duration_s = float(1 / (self._stream.average_rate or self._stream.guessed_rate or 25))
        self._decoded_s: float | None = None
        self._start_decoding(self._video_packets())
        first = self._decode()
        if first is None:
            raise MediaError(f"{self._source.path} has a video track, but no frame of it can be decoded")
        # Asked of one frame only: a frame whose side data was looked at is part of a reference cycle, and hundreds of
        # them would wait in memory for the garbage collector.
        self.orientation = Orientation.of(first[1])
        self._on_display = first
        self.begins_s = first[0]
        if self.begins_s > EARLY_S:
            self._damage.remarks["begins"] = f"the video begins {self.begins_s:.1f} s after the recording"

    def _start_decoding(self, packets: Iterable[Any]) -> None:
        self._packets = PacketsAhead(iter(packets), self._stream, self._seconds)
        self._frames = decoded(self._packets, self._damage)
        self._upcoming: tuple[float, Any] | None = None  # decoded, and not in time
        self._ended = False

    def _video_packets(self) -> Iterator[Any]:
        for packet in self._source.packets():
            if packet.stream is self._stream:
                yield packet
            else:
                self._pass_on(packet)

    def _pass_on(self, packet: Any) -> None:
        if self._audio is not None:
            self._audio.push(packet)

    def shown_size(self, frame: Any) -> tuple[int, int]:
        """Width and height of a frame before it is turned upright."""
        if not self._square_pixels:
            return frame.width, frame.height
        return shown_size(self._stream, frame.width, frame.height, self._damage)

    def upright_size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright."""
        width_px, height_px = self.shown_size(self._on_display[1])
        return (height_px, width_px) if self.orientation.transpose else (width_px, height_px)

    def move_to(self, time_s: float) -> tuple[float, Any] | None:
        """Moves forward to a time.

        Returns:
            The frame on display and since when, in seconds; None when the last frame has ended, or the first has not
            come.
        """
        if time_s < self.begins_s - EARLY_S:
            return None
        try:
            return self._move_to(time_s)
        except JumpError:
            self._start_over()
            return self._move_to(time_s)

    def _move_to(self, time_s: float) -> tuple[float, Any] | None:
        if not self._ended and time_s - self._on_display[0] > self._seek_gap_s:
            self._jump(time_s)
        self._packets.look(time_s)
        while not self._is_on_display(time_s):
            if self._upcoming is None:
                self._upcoming = self._decode()
                self._ended = self._upcoming is None
            if self._upcoming is None or self._upcoming[0] > time_s + TIME_TOLERANCE_S:
                break
            self._on_display, self._upcoming = self._upcoming, None
        if self._ended and time_s > self._last_frame_end_s() - TIME_TOLERANCE_S:
            self.end_s = self._last_frame_end_s()
            self._look_for_break(self.end_s)
            return None
        return self._on_display

    def _is_on_display(self, time_s: float) -> bool:
        """Whether the packets ahead show, before any more of them are decoded, that no other frame comes in time."""
        newest_s = self._packets.newest_s()
        return newest_s is not None and abs(newest_s - self._on_display[0]) < TIME_TOLERANCE_S / 100

    def _look_for_break(self, end_s: float) -> None:
        """Compares where the video ended with what the container claims."""
        claimed_s = claimed_end_s(self._source.path, self._source.container, self._stream)
        if claimed_s is not None and end_s < claimed_s - BREAK_OFF_S:
            self._damage.broke_off_s, self._damage.claimed_end_s = end_s, claimed_s

    def _last_frame_end_s(self) -> float:
        """When the frame on display, being the last, ends."""
        shown_s, frame = self._on_display
        duration_s = float((frame.duration or 0) * (frame.time_base or 0))
        return shown_s + min(duration_s or self._frame_duration_s, LONGEST_HOLD_S)

    def _decode(self) -> tuple[float, Any] | None:
        """The next frame with its time in seconds; None at the end."""
        try:
            frame = next(self._frames, None)
        except MemoryError as error:
            raise MediaError(f"{self._source.path}: {NO_MEMORY}") from error
        if frame is None:
            return None
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is not None:
            time_s = self._seconds(ticks)
        else:  # a raw stream has no timestamps: there, and only there, frames are counted
            time_s = 0.0 if self._decoded_s is None else self._decoded_s + self._frame_duration_s
            self._seek_gap_s = math.inf
        self._decoded_s = time_s
        return time_s, frame

    def _jump(self, time_s: float) -> None:
        """Goes to the key frame before a time."""
        if not self._source.can_seek:
            self._skip(time_s)
            return
        target_s = time_s
        if self._audio is not None and not self._audio.all_done:
            busy_until_s = self._audio.busy_until_s(self._seek_gap_s)
            if busy_until_s + self._seek_gap_s > time_s:
                return
            self._read_audio_until(busy_until_s)
            target_s = self._audio.jump_target_s(time_s)
        left_s, found = self._on_display[0], None
        if self._source.jump(target_s):
            if self._audio is not None:
                self._audio.jumped(target_s)
            self._start_decoding(self._video_packets())
            found = self._decode()
        if found is None or found[0] > time_s + TIME_TOLERANCE_S:  # not to be trusted: decode all from the start
            self._start_over()
            return
        if found[0] <= left_s:  # no key frame between: the jump went back and won nothing
            self._seek_gap_s *= 2
        self._on_display = found

    def _skip(self, time_s: float) -> None:
        """The same by reading the packets before it, which are not decoded."""
        packets, begins_with_key = self._source.skip(time_s, self._packets.waiting(), self._pass_on)
        upcoming = self._upcoming
        if begins_with_key:
            self._stream.codec_context.flush_buffers()
        self._start_decoding(itertools.chain(packets, self._video_packets()))
        if not begins_with_key:
            self._upcoming = upcoming
            return
        found = self._decode()
        if found is not None and found[0] <= time_s + TIME_TOLERANCE_S:
            self._on_display = found
        else:
            self._start_over()

    def _read_audio_until(self, time_s: float) -> None:
        """Reads the audio that is needed before a jump; the video packets between are not, since a jump follows."""
        assert self._audio is not None
        for packet in self._source.packets():
            if packet.stream is not self._stream:
                self._audio.push(packet)
            elif packet.dts is not None and self._seconds(packet.dts) > time_s + LAG_S:
                return
            if not self._audio.needs_before(time_s):
                return

    def _start_over(self) -> None:
        """Decodes from the start again, without jumping."""
        self._damage.lost_packets = 0
        self._source.reopen()
        if self._audio is not None:
            self._audio.restart()
        self._seek_gap_s = math.inf
        self._begin()

"""An open recording: the tracks that are read, and their packets, in file order and on one clock."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av

from mme2e.errors import MediaError
from mme2e.media.clock import BACK_ALONE_S, BACK_S, RecordingClock
from mme2e.media.container import (
    CONTAINER_TICKS_PER_S,
    NO_MEMORY,
    audio_tracks,
    chosen_track,
    may_leap,
    open_container,
    start_of_clock_s,
    video_tracks,
)
from mme2e.media.notes import Damage

INEXACT_SEEK_FORMATS = {"mp3", "aac"}
STREAMED_FORMATS = {"flv", "ogg"}  # others have an index or tags behind their last packet
MOST_BYTES_LEFT = 32 << 10
MOST_BYTES_KEPT = 32 << 20  # of packets since the last key frame, when packets are skipped in place of a jump


class MediaSource:
    """A file that is read forwards. Both tracks come from one demuxer, so that both follow the same clock.

    Args:
        path: Video or audio file.
        video_track: Number among the video tracks, from 0; None: the default one, else the first.
        audio_track: The same of the audio tracks.
        video_damage: Receives what is wrong with the video.
        audio_damage: Receives what is wrong with the audio.
        on_packet: Is called for every packet: reading goes on.

    Attributes:
        path: As given.
        container: PyAV's.
        video: The video stream; None without one.
        audio: The audio stream; None without one.
        video_damage: As given.
        audio_damage: As given.
        broke: Whether the file could not be read to its end.

    Raises:
        MediaError: The file cannot be read, or has no track of the number asked for.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        video_track: int | None = None,
        audio_track: int | None = None,
        video_damage: Damage | None = None,
        audio_damage: Damage | None = None,
        on_packet: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self.video_damage = video_damage if video_damage is not None else Damage()
        self.audio_damage = audio_damage if audio_damage is not None else Damage()
        self._asked = video_track, audio_track
        self._on_packet = on_packet
        self._open()

    def _open(self) -> None:
        self.container = open_container(self.path)
        self.video = self._choose("video", video_tracks(self.container), self._asked[0], self.video_damage)
        self.audio = self._choose("audio", audio_tracks(self.container), self._asked[1], self.audio_damage)
        # In a file with leaps, time stamps lead anywhere; without a container they are guesses after a jump.
        self.can_seek = not may_leap(self.container) and self.container.format.name not in INEXACT_SEEK_FORMATS
        self.origin_s = start_of_clock_s(self.container)
        self._clock = RecordingClock(self.origin_s, leaps=may_leap(self.container), remark=self._remark_leap)
        self._streams = [stream for stream in (self.video, self.audio) if stream is not None]
        for stream in self._streams:
            ticks, per_s = stream.time_base.as_integer_ratio()
            back_s = BACK_ALONE_S if self._streams == [self.audio] else BACK_S
            self._clock.add_track(stream.index, ticks, per_s, back_s=back_s)
        self._packets = self._read()
        self.broke = False

    def _choose(self, kind: str, tracks: list[Any], asked: int | None, damage: Damage) -> Any:
        number = chosen_track(tracks, asked)
        if number is None and asked is not None:
            self.container.close()
            there = f"it has {len(tracks)}, counted from 0" if tracks else "it has none"
            raise MediaError(f"{self.path} has no {kind} track {asked}: {there}")
        if asked is None and len(tracks) > 1:
            damage.remarks["tracks"] = f"{len(tracks)} {kind} tracks, of which number {number} (from 0) was taken"
        return None if number is None else tracks[number]

    def _remark_leap(self, remark: str) -> None:
        self.video_damage.remarks["leap"] = self.audio_damage.remarks["leap"] = remark

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def reopen(self) -> None:
        """Goes back to the start."""
        self.close()
        self._open()

    def seconds(self, stream: Any) -> Callable[[int], float]:
        """A function from a stream's ticks to seconds from the start of the recording."""
        ticks, per_s = stream.time_base.as_integer_ratio()
        origin_s = self.origin_s
        return lambda number: number * ticks / per_s - origin_s

    def packets(self) -> Iterator[Any]:
        """The packets from where the file stands, of both tracks; at its end an empty one of each.

        A file that cannot be read on ends, and that is damage.
        """
        return self._packets

    def _read(self) -> Iterator[Any]:
        if not self._streams:
            return
        packets = self.container.demux(self._streams)
        read_to = 0  # place in the file
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                self._look_for_rest(read_to)
                return
            except MemoryError as error:
                raise MediaError(f"{self.path}: {NO_MEMORY}") from error
            except av.FFmpegError:
                self.broke = True
                for stream in self._streams:
                    self._damage_of(stream).lost_packets += 1
                    last = av.Packet()
                    last.stream = stream
                    yield last
                return
            if packet.is_corrupt:
                self._damage_of(packet.stream).lost_packets += 1
            if packet.pos is not None:
                read_to = packet.pos + packet.size
            self._clock.place(packet, packet.stream.index)  # the last packets' own index is 0
            if self._on_packet is not None:
                self._on_packet()
            yield packet

    def _look_for_rest(self, read_to: int) -> None:
        """Remarks that a file goes on with what FFmpeg does not read: another FLV file, say."""
        left = Path(self.path).stat().st_size - read_to
        if self.container.format.name in STREAMED_FORMATS and read_to and left > MOST_BYTES_LEFT:
            remark = (
                f"the last {left >> 10} kB of the file could not be read: recordings of different kinds were joined"
            )
            self.video_damage.remarks["rest"] = self.audio_damage.remarks["rest"] = remark

    def _damage_of(self, stream: Any) -> Damage:
        return self.video_damage if stream is self.video else self.audio_damage

    def jump(self, time_s: float) -> bool:
        """Goes to the key frame before a time, if the file can; else it may stand anywhere."""
        if not self.can_seek:
            return False
        try:
            self.container.seek(round(self._clock.seek_s(time_s) * CONTAINER_TICKS_PER_S))
        except MemoryError:
            raise
        except (av.FFmpegError, OSError):
            return False
        self._clock.jumped()
        self._packets = self._read()
        return True

    def skip(self, time_s: float, waiting: Iterable[Any], other: Callable[[Any], None]) -> tuple[list[Any], bool]:
        """Reads on to the last key frame of the video before a time, without decoding: a jump in files without one.

        Args:
            time_s: Where to.
            waiting: Video packets that were read and not decoded.
            other: Takes the packets of the audio on the way.

        Returns:
            The video packets to decode next, and whether they begin with a key frame, so that the decoder has to forget
            what was before.
        """
        seconds = self.seconds(self.video)
        kept: list[Any] = []
        size = 0
        found = False
        read_to_s = -math.inf
        for packet in itertools.chain(waiting, self._packets):
            if packet.stream is not self.video:
                other(packet)
                continue
            if packet.dts is not None:
                read_to_s = seconds(packet.dts)
            if packet.is_keyframe and packet.pts is not None and seconds(packet.pts) <= time_s:
                kept, size, found = [], 0, True
            kept.append(packet)
            size += packet.size
            if read_to_s > time_s or size > MOST_BYTES_KEPT:
                break
        return kept, found

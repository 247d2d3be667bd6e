"""Subtitle tracks within media files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from mme2e.media.container import chosen_track, decoded, open_container, start_of_clock_s
from mme2e.media.notes import Damage

LONGEST_TEXT = 10_000
"""Characters of a subtitle; what is behind them is cut off."""

MOST_LINES = 200_000
"""Of a track; a day of speech has a tenth."""

LONGEST_UNKNOWN_S = 5.0
"""How long a subtitle without a length is shown, at most: until the next one."""


@dataclass(frozen=True, kw_only=True)
class SubtitleLine:
    r"""A subtitle.

    Attributes:
        start_s: Where it is shown from, in seconds from the start of the recording.
        end_s: Where it is shown to.
        speaker: Its field Name, where the format has one; else empty.
        text: With the markup of ASS, which FFmpeg makes of every format: `{\i1}`, `\N`.
    """

    start_s: float
    end_s: float
    speaker: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Subtitles:
    """A subtitle track, or why there is none.

    Attributes:
        lines: In the order of the file.
        remarks: What is worth knowing: which of several tracks it is, images instead of text, damage.
    """

    lines: tuple[SubtitleLine, ...] = ()
    remarks: tuple[str, ...] = ()


def read_subtitles(
    path: Path | str, track: int | None = None, *, on_packet: Callable[[], None] = lambda: None
) -> Subtitles:
    """Reads a subtitle track of text (SubRip, WebVTT, ASS, MP4's timed text).

    Args:
        path: Media file.
        track: Number among its subtitle tracks, from 0; if None the one that a player takes of those with text: the
            default one, else the first that is not only for foreign words ("forced").
        on_packet: Called for every packet.

    Returns:
        No lines where there is no such track, or where it consists of images.

    Raises:
        MediaError: The file cannot be read.
    """
    with open_container(path) as container:
        tracks = [stream for stream in container.streams.subtitles if stream.codec_context]
        texts = [number for number, stream in enumerate(tracks) if _has_text(stream)]
        if track is None:
            spoken = [number for number in texts if not tracks[number].disposition & av.stream.Disposition.forced]
            choice = chosen_track([tracks[number] for number in spoken or texts], None)
            track = None if choice is None else (spoken or texts)[choice]
            if track is None:
                reason = "its subtitles are images, not text"
                return Subtitles(remarks=(reason,) if tracks else ())
        elif not 0 <= track < len(tracks):
            return Subtitles(remarks=(f"there is no subtitle track {track}; it has {len(tracks)}",))
        elif track not in texts:
            return Subtitles(remarks=(f"subtitle track {track} consists of images, not text",))
        remarks = [f"subtitle track {track} of {len(tracks)} is read"] if len(tracks) > 1 else []
        damage = Damage()
        lines = _lines(container, tracks[track], damage, on_packet)
    if damage:
        remarks.append(f"subtitles: {damage}")
    if len(lines) == MOST_LINES:
        remarks.append(f"it has more than {MOST_LINES} subtitles: the others are left out")
    return Subtitles(lines=tuple(lines), remarks=tuple(remarks))


def _has_text(stream: Any) -> bool:
    return bool(stream.codec_context.codec.text_sub)


def _lines(container: Any, stream: Any, damage: Damage, on_packet: Callable[[], None]) -> list[SubtitleLine]:
    start_of_clock = start_of_clock_s(container)
    lines: list[SubtitleLine] = []
    unknown_end = False
    for packet in _packets(container, stream, damage):
        on_packet()
        if packet.pts is None or not packet.size:
            continue
        start_s = float(packet.pts * packet.time_base) - start_of_clock
        if unknown_end:
            last = lines[-1]
            end_s = min(last.end_s, max(start_s, last.start_s))
            lines[-1] = SubtitleLine(start_s=last.start_s, end_s=end_s, speaker=last.speaker, text=last.text)
        unknown_end = False
        length_s = float(packet.duration * packet.time_base) if packet.duration else 0.0
        for subtitle in decoded([packet], damage):
            # ReadOrder, Layer, Style, Name, MarginL, MarginR, MarginV, Effect, Text
            *fields, text = getattr(subtitle, "ass", b"").decode("utf-8", "replace").split(",", 8)
            if len(fields) == 8 and text.strip():
                end_s = start_s + (length_s or LONGEST_UNKNOWN_S)
                unknown_end = not length_s
                text = text[:LONGEST_TEXT]
                lines.append(SubtitleLine(start_s=start_s, end_s=end_s, speaker=fields[3][:LONGEST_TEXT], text=text))
        if len(lines) >= MOST_LINES:
            return lines[:MOST_LINES]
    return lines


def _packets(container: Any, stream: Any, damage: Damage) -> Any:
    """Packets of a stream; the file may break off at any."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            damage.lost_packets += 1
            return
        if packet is None:
            return
        yield packet

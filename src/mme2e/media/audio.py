"""Sound: decoding to 16 kHz mono int16, and lossless storage.

Times are seconds on
the container's clock (see `mme2e.media.video`).
"""

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from mme2e.errors import MediaError
from mme2e.media.container import CONTAINER_TICKS_PER_S, frames_of, open_container, start_of_clock_s

SAMPLE_RATE_HZ = 16_000

SEEK_FROM_S = 10.0  # a cut that starts later jumps; an earlier one is decoded from the start
SEEK_RUN_UP_S = 1.0  # codecs with memory (AAC, MP3, Opus) need some packets before they sound right
HOLE_S = 0.1  # timestamps that leap further than this leave silence behind
INEXACT_SEEK_FORMATS = {"mp3", "aac"}  # without a container their timestamps are guesses after a jump


def read_audio(
    path: Path | str, *, start_s: float = 0.0, end_s: float | None = None, channel: int | None = None
) -> np.ndarray:
    """Decodes sound from any container, resampled to 16 kHz mono.

    The cut is exact to the sample. Where the file has no sound before its first or between two packets there is
    silence, so that sample i always belongs to the time `start_s + i / 16000`.

    Args:
        path: File with a sound stream; the first one is taken.
        start_s: Start on the container's clock.
        end_s: End; None, or a time after the end of the sound, reads to the end of the sound.
        channel: Channel to take before anything is mixed, counted from 0; None mixes all.

    Returns:
        (samples,) int16; empty when the sound ends before `start_s`.

    Raises:
        MediaError: The file cannot be read, has no sound, has no such channel, or nothing of it can be decoded.
    """
    if start_s < 0 or (end_s is not None and end_s < start_s):
        raise MediaError(f"{path}: cannot cut sound from {start_s} s to {end_s} s; wanted 0 <= start <= end")
    first = round(start_s * SAMPLE_RATE_HZ)
    last = None if end_s is None else round(end_s * SAMPLE_RATE_HZ)
    plain = _plain_wav(path, first, last, channel)
    if plain is not None:
        return plain
    run_up_s = start_s - SEEK_RUN_UP_S if start_s >= SEEK_FROM_S else None
    pieces = _cut(path, run_up_s, first, last, channel)
    if pieces is None:  # the file cannot jump there: decode it from the start
        pieces = _cut(path, None, first, last, channel)
    assert pieces is not None
    end = max((position + len(piece) for position, piece in pieces), default=first)
    samples = np.zeros(max(0, (end if last is None else min(end, last)) - first), dtype=np.int16)
    for position, piece in pieces:
        piece = piece[max(0, first - position) :]
        at = max(0, position - first)
        samples[at : at + len(piece)] = piece[: max(0, len(samples) - at)]
    return samples


def _plain_wav(path: Path | str, first: int, last: int | None, channel: int | None) -> np.ndarray | None:
    """Samples [first, last) of a WAV file that holds them as they are wanted, which takes FFmpeg 100 times as long.

    None for any other file, and for one whose header does not fit its size: FFmpeg knows what to make of it.
    """
    try:
        with Path(path).open("rb") as raw, wave.open(raw) as file:
            channels, frames = file.getnchannels(), file.getnframes()
            wanted = file.getframerate() == SAMPLE_RATE_HZ and file.getsampwidth() == np.dtype(np.int16).itemsize
            taken = 0 if channel is None and channels == 1 else channel
            whole = raw.tell() + frames * channels * file.getsampwidth() <= Path(path).stat().st_size
            if not (wanted and whole and frames and taken is not None and 0 <= taken < channels):
                return None
            end = frames if last is None else min(last, frames)
            if first >= end:
                return np.zeros(0, dtype=np.int16)
            file.setpos(first)
            samples = np.frombuffer(file.readframes(end - first), dtype="<i2").reshape(-1, channels)
            return samples[:, taken].astype(np.int16)
    except (wave.Error, EOFError, OSError):
        return None


def encode_flac(samples: np.ndarray) -> bytes:
    """Packs 16 kHz mono int16 samples, (samples,), into FLAC without loss."""
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ValueError(f"samples must be int16 of one dimension, not {samples.dtype} {samples.shape}")
    file = io.BytesIO()
    # By default FFmpeg leaves 8 kB of room for tags, as much as a second of speech takes.
    with av.open(file, "w", format="flac", options={"metadata_header_padding": "0"}) as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", format="s16")
        if len(samples):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode_flac(data: bytes) -> np.ndarray:
    """Unpacks what `encode_flac` packed.

    Returns:
        (samples,) int16.

    Raises:
        MediaError: The bytes are damaged, or hold anything but 16 kHz mono.
    """
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            stream = container.streams.audio[0]
            if not stream.rate:  # forced to be FLAC, foreign bytes open as a stream without properties
                raise MediaError(f"{len(data)} bytes that are no FLAC sound")
            if stream.rate != SAMPLE_RATE_HZ or stream.channels != 1:
                raise MediaError(f"FLAC of {stream.rate} Hz and {stream.channels} channels; wanted 16000 Hz mono")
            pieces = [frame.to_ndarray()[0] for frame in container.decode(stream)]
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"{len(data)} bytes that are no FLAC sound: {error}") from error
    return np.concatenate(pieces).astype(np.int16, copy=False) if pieces else np.zeros(0, dtype=np.int16)


def _cut(
    path: Path | str, run_up_s: float | None, first: int, last: int | None, channel: int | None
) -> list[tuple[int, np.ndarray]] | None:
    """Decodes and resamples what is needed of [first, last), in samples at 16 kHz on the container's clock.

    Returns:
        Pieces with their position in the file; None when a jump to `run_up_s` did not lead before `first`.
    """
    with open_container(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path} has no sound")
        stream = container.streams.audio[0]
        if channel is not None and not 0 <= channel < stream.channels:
            raise MediaError(f"{path} has no channel {channel}: it has {stream.channels}, counted from 0")
        jumped = run_up_s is not None and _jump(container, run_up_s)
        pieces: list[tuple[int, np.ndarray]] = []
        anything = False
        for position, piece in _resampled(container, stream, channel):
            if jumped and not anything and position > first:
                return None
            anything = True
            if position + len(piece) > first:
                pieces.append((position, piece))
            if last is not None and position >= last:  # this piece tells that silence before it is a hole, no end
                break
    if not anything:
        if jumped:
            return None
        raise MediaError(f"{path} has a sound stream, but nothing of it can be decoded")
    return pieces


def _jump(container: Any, time_s: float) -> bool:
    if container.format.name in INEXACT_SEEK_FORMATS:
        return False
    try:
        container.seek(round((time_s + start_of_clock_s(container)) * CONTAINER_TICKS_PER_S))
    except (av.FFmpegError, OSError):
        return False
    return True


def _resampled(container: Any, stream: Any, channel: int | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yields positions and pieces at 16 kHz; a hole in the timestamps starts a new run."""
    origin_s = start_of_clock_s(container)
    resampler = None
    position = 0  # of the next resampled sample
    source_end_s = 0.0
    for frame in frames_of(container, stream):
        frame_s = source_end_s if frame.pts is None else float(frame.pts * frame.time_base) - origin_s
        if resampler is None or abs(frame_s - source_end_s) > HOLE_S:
            if resampler is not None:
                for piece in _take(resampler, None, channel):
                    yield position, piece
            resampler = _new_resampler(stream, channel)
            position = round(frame_s * SAMPLE_RATE_HZ)
            source_end_s = frame_s
        source_end_s += frame.samples / frame.sample_rate
        for piece in _take(resampler, frame, channel):
            yield position, piece
            position += len(piece)
    if resampler is not None:
        for piece in _take(resampler, None, channel):
            yield position, piece
            position += len(piece)


def _new_resampler(stream: Any, channel: int | None) -> Any:
    layout = "mono" if channel is None else stream.layout.name
    return av.AudioResampler(format="s16p", layout=layout, rate=SAMPLE_RATE_HZ)


def _take(resampler: Any, frame: Any, channel: int | None) -> Iterator[np.ndarray]:
    """Puts a frame in (None: the end) and yields the (samples,) int16 that come out."""
    for resampled in resampler.resample(frame):
        yield resampled.to_ndarray()[channel or 0]

"""Sound: decoding to 16 kHz mono, lossless storage, mel spectrograms.

Waveforms are int16 on disk and between processes; as floats they lie in [-1, 1), int16 / 32768. Times are seconds on
the container's clock (see `mme2e.media`).
"""

import functools
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from mme2e.errors import MediaError
from mme2e.media import CONTAINER_TICKS_PER_S, decoded, open_container, start_of_clock_s

SAMPLE_RATE_HZ = 16_000
WINDOW_MS = 25.0  # also the length of the FFT
HOP_MS = WINDOW_MS / 2
NUM_MELS = 128
CHUNK_COLUMNS = 32
WINDOW_LENGTH = round(SAMPLE_RATE_HZ * WINDOW_MS / 1000)  # 400 samples
HOP_LENGTH = WINDOW_LENGTH // 2  # 200 samples
CHUNK_SAMPLES = CHUNK_COLUMNS * HOP_LENGTH  # 6400 samples, 0.4 s
INT16_SCALE = 32_768.0

COLUMNS_AT_A_TIME = 4096  # bounds the memory of a large batch: 7 MB of windows
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


@torch.no_grad()
def mel_spectrogram(waveform: Tensor, sample_rate: int = SAMPLE_RATE_HZ) -> Tensor:
    """Power mel spectrogram of one waveform, as the reference computes it with torchaudio.

    Window and FFT of 25 ms (periodic Hann), hop of half of it, 128 HTK mel bands without normalisation, no logarithm,
    centred with reflected edges. A waveform too short to be reflected (half a window or less) is first continued with
    zeros; it has the columns its own length gives.

    Args:
        waveform: (samples,) float in [-1, 1), or int16; at least one sample.
        sample_rate: Samples a second; 16000 for the models.

    Returns:
        (128, 1 + samples // hop) float32, on the device of the waveform.
    """
    if waveform.ndim != 1 or len(waveform) == 0:
        raise ValueError(f"waveform must be (samples,) with at least one sample, not {tuple(waveform.shape)}")
    window_length = int(sample_rate * WINDOW_MS / 1000)
    hop_length = window_length // 2
    num_samples = torch.tensor([len(waveform)], device=waveform.device)
    columns = torch.arange(1 + len(waveform) // hop_length, device=waveform.device)
    blocks = [
        _mel_columns(
            _windows(waveform, torch.zeros_like(block), num_samples.expand(len(block)), block, window_length),
            sample_rate,
        )
        for block in columns.split(COLUMNS_AT_A_TIME)
    ]
    return torch.cat(blocks).T


@torch.no_grad()
def mel_chunks(waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mel spectrograms of a ragged batch, cut into chunks of 32 columns (0.4 s).

    Each utterance is transformed by itself, as `mel_spectrogram` does; its last chunk is filled with zeros on the
    right. There is no loop over utterances; memory is bounded by working on a few thousand columns at a time.

    Args:
        waveforms: (total_samples,) int16 or float in [-1, 1), 16 kHz, the utterances one after the other.
        num_samples: (batch,) int64, their lengths; 0 is no sound and gives no chunk.

    Returns:
        Chunks (total_chunks, 1, 128, 32) float32 and their number for each utterance (batch,) int64,
        on the device of the waveforms.
    """
    device = waveforms.device
    num_samples = num_samples.to(device)
    if int(num_samples.sum()) != len(waveforms):
        raise ValueError(f"num_samples add up to {int(num_samples.sum())}, but there are {len(waveforms)} samples")
    num_columns = torch.where(num_samples > 0, 1 + num_samples // HOP_LENGTH, 0)
    num_chunks = (num_columns + CHUNK_COLUMNS - 1) // CHUNK_COLUMNS
    first_sample, first_column = _starts(num_samples), _starts(num_columns)
    utterance = torch.repeat_interleave(num_columns)  # (total_columns,)
    column = torch.arange(len(utterance), device=device) - first_column[utterance]
    row = _starts(num_chunks)[utterance] * CHUNK_COLUMNS + column
    rows = torch.zeros(int(num_chunks.sum()) * CHUNK_COLUMNS, NUM_MELS, device=device)
    blocks = torch.arange(len(utterance), device=device).split(COLUMNS_AT_A_TIME) if len(utterance) else ()
    for block in blocks:  # none in a batch without any sound: there is no FFT of nothing
        of = utterance[block]
        windows = _windows(waveforms, first_sample[of], num_samples[of], column[block], WINDOW_LENGTH)
        rows[row[block]] = _mel_columns(windows, SAMPLE_RATE_HZ)
    chunks = rows.view(-1, 1, CHUNK_COLUMNS, NUM_MELS).transpose(2, 3).contiguous()
    return chunks, num_chunks


def _starts(lengths: Tensor) -> Tensor:
    return lengths.cumsum(0) - lengths


def _windows(waveforms: Tensor, start: Tensor, length: Tensor, column: Tensor, window_length: int) -> Tensor:
    """Cuts windows centred on their columns; each utterance is reflected at its own edges.

    Args:
        waveforms: (total_samples,) int16 or float.
        start: (columns,) first sample of the utterance.
        length: (columns,) samples of the utterance.
        column: (columns,) column within the utterance.
        window_length: Samples a window.

    Returns:
        (columns, window_length) float32.
    """
    half = window_length // 2
    offset = torch.arange(window_length, device=waveforms.device) - half
    sample = column[:, None] * half + offset
    reflected = length.clamp(min=half + 1)[:, None]  # shorter ones are continued with zeros
    sample = sample.abs()
    sample = torch.where(sample >= reflected, 2 * (reflected - 1) - sample, sample)
    inside = sample < length[:, None]
    values = waveforms[start[:, None] + torch.where(inside, sample, 0)]
    scale = 1.0 if waveforms.is_floating_point() else 1 / INT16_SCALE
    return torch.where(inside, values.float() * scale, 0.0)


def _mel_columns(windows: Tensor, sample_rate: int) -> Tensor:
    """(columns, window) float32 -> (columns, 128) float32; in full precision even under mixed precision."""
    window_length = windows.shape[1]
    with torch.autocast(windows.device.type, enabled=False):
        hann = torch.hann_window(window_length, device=windows.device)
        power = torch.fft.rfft(windows * hann).abs().square()
        return power @ _mel_filters(sample_rate, window_length).to(windows.device)


@functools.lru_cache(maxsize=8)
def _mel_filters(sample_rate: int, window_length: int) -> Tensor:
    """Triangular HTK mel filters, (window_length // 2 + 1, 128) float32.

    At 16 kHz the narrowest filters fall between two bins of the FFT and are zero, as in the reference.
    """
    frequency_hz = torch.linspace(0, sample_rate // 2, window_length // 2 + 1)
    top_mel = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edge_hz = 700 * (10 ** (torch.linspace(0, top_mel, NUM_MELS + 2) / 2595) - 1)
    width_hz = edge_hz.diff()
    distance_hz = edge_hz[None] - frequency_hz[:, None]
    rising = -distance_hz[:, :-2] / width_hz[:-1]
    falling = distance_hz[:, 2:] / width_hz[1:]
    return torch.minimum(rising, falling).clamp(min=0)


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
    for frame in decoded(container, stream):
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

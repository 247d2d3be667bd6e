"""Mel spectrograms of audio, in the chunks that the models listen to.

Waveforms are int16 on disk and between processes; as floats they lie in [-1, 1), int16 / 32768.
"""

import functools
import math

import torch
from torch import Tensor

from mme2e.media.audio import SAMPLE_RATE_HZ

WINDOW_MS = 25.0  # also the length of the FFT
HOP_MS = WINDOW_MS / 2
NUM_MELS = 128
CHUNK_COLUMNS = 32
WINDOW_LENGTH = round(SAMPLE_RATE_HZ * WINDOW_MS / 1000)  # 400 samples
HOP_LENGTH = WINDOW_LENGTH // 2  # 200 samples
CHUNK_SAMPLES = CHUNK_COLUMNS * HOP_LENGTH  # 6400 samples, 0.4 s
INT16_SCALE = 32_768.0
COLUMNS_AT_A_TIME = 4096  # bounds the memory of a large batch: 7 MB of windows


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
        num_samples: (batch,) int64, their lengths; 0 is no audio and gives no chunk.

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
    for block in blocks:  # none in a batch without any audio: there is no FFT of nothing
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

"""Audio: decoding to 16 kHz mono int16, and lossless storage.

Times are seconds from the start of the recording (see `mme2e.media.clock`).
"""

import io
from pathlib import Path

import av
import numpy as np

from mme2e.errors import MediaError
from mme2e.media.audio_cuts import AudioCollector, AudioCut, collect
from mme2e.media.notes import Damage
from mme2e.media.resampling import SAMPLE_RATE_HZ, peak
from mme2e.media.source import MediaSource
from mme2e.media.wav import plain_wav

CANCELLED_PEAK = 4.0  # where a channel was louder than the mix by less, there is no need to look
CANCELLED = 100.0  # the mix has less than a hundredth of the power of one of its channels
BLOCK_SAMPLES = 1 << 20


def read_audio(
    path: Path | str,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
    track: int | None = None,
    damage: Damage | None = None,
) -> np.ndarray:
    """Decodes audio from any container, resampled to 16 kHz mono.

    The cut is exact to the sample. Where the file has no audio before its first or between two packets there is
    silence, so that sample i always belongs to the time `start_s + i / 16000`.

    Args:
        path: File with an audio track.
        start_s: Start, seconds from the start of the recording.
        end_s: End; None, or a time after the end of the audio, reads to the end of the audio.
        channel: Channel to take before anything is mixed, counted from 0. None mixes all, unless they cancel.
        track: Number among the audio tracks, from 0; None: the default one, else the first.
        damage: Receives what was wrong with what was read.

    Returns:
        (samples,) int16; empty when the audio ends before `start_s`.

    Raises:
        MediaError: The file cannot be read, has no audio, has no such track or channel, or nothing of it can be
            decoded.
    """
    if start_s < 0 or (end_s is not None and end_s < start_s):
        raise MediaError(f"{path}: cannot cut audio from {start_s} s to {end_s} s; expected 0 <= start <= end")
    damage = damage if damage is not None else Damage()
    cut = AudioCut(start_s=start_s, end_s=end_s, channel=channel, damage=damage)
    plain = plain_wav(path, cut.first, cut.last, channel)
    if plain is not None:
        remark_silence(plain, damage)
        return plain
    of_track = Damage()
    source = MediaSource(path, audio_track=track, audio_damage=of_track)
    try:
        if source.audio is None:
            raise MediaError(f"{path} has no audio")
        collector = AudioCollector(source, [cut])
        for _ in collect(source, collector):
            pass
    finally:
        source.close()
    damage.remarks.update(of_track.remarks)
    fault = collector.fault(channel)
    if fault is not None:
        raise MediaError(f"{path} {fault}")
    return checked_samples(path, cut, collector.most_channels, track)


def checked_samples(path: Path | str, cut: AudioCut, channels: int, track: int | None) -> np.ndarray:
    """The samples of a cut. Where mixing cancels its channels, the loudest one; that, and silence, is remarked.

    Args:
        path: File that the cut is of.
        cut: What was collected; its damage gets the remarks.
        channels: How many the track has.
        track: As for `read_audio`.
    """
    samples = cut.samples()
    if cut.channel is None and channels > 1 and cut.channel_peak > CANCELLED_PEAK * max(peak(samples), 1):
        loudest, alone = _loudest_channel(path, cut, channels, track)
        if len(alone) == len(samples) and _power(alone) > CANCELLED * max(_power(samples), 1.0):
            cut.damage.remarks["channels"] = f"its channels cancel when they are mixed: channel {loudest} was taken"
            return alone
    remark_silence(samples, cut.damage)
    return samples


def _loudest_channel(path: Path | str, cut: AudioCut, channels: int, track: int | None) -> tuple[int, np.ndarray]:
    """Reads a cut again, for each channel: the loudest, and its samples."""
    singles = [AudioCut(start_s=cut.start_s, end_s=cut.end_s, channel=channel) for channel in range(channels)]
    source = MediaSource(path, audio_track=track)
    try:
        for _ in collect(source, AudioCollector(source, singles)):
            pass
    finally:
        source.close()
    samples = [single.samples() for single in singles]
    loudest = max(range(channels), key=lambda channel: _power(samples[channel]))
    return loudest, samples[loudest]


def remark_silence(samples: np.ndarray, damage: Damage) -> None:
    """Remarks that all samples are 0."""
    if len(samples) and not samples.any():
        damage.remarks["silence"] = "the audio is silent: every sample is 0"


def _power(samples: np.ndarray) -> float:
    """Mean square of (samples,) int16; 0 without any."""
    blocks = np.array_split(samples, len(samples) // BLOCK_SAMPLES + 1)
    return float(sum(np.square(block, dtype=np.float64).sum() for block in blocks)) / max(1, len(samples))


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
                raise MediaError(f"{len(data)} bytes that are not FLAC audio")
            if stream.rate != SAMPLE_RATE_HZ or stream.channels != 1:
                raise MediaError(f"FLAC of {stream.rate} Hz and {stream.channels} channels; expected 16000 Hz mono")
            pieces = [frame.to_ndarray()[0] for frame in container.decode(stream)]
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"{len(data)} bytes that are not FLAC audio: {error}") from error
    return np.concatenate(pieces).astype(np.int16, copy=False) if pieces else np.zeros(0, dtype=np.int16)

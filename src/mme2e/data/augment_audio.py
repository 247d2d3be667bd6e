"""Augmentation of waveforms: what rooms, microphones and telephones do to them.

Everything that is off changes not one bit, and draws no random number.
"""

import numpy as np

from mme2e.config import AudioAugmentSettings
from mme2e.data.augment import happens
from mme2e.media.resampling import SAMPLE_RATE_HZ

T60_S = (0.1, 0.6)
"""Time in which the echo of a room decays by 60 dB."""
DIRECT_TO_ECHO_DB = (0.0, 15.0)
"""How much louder the direct path is than all of the echo."""
SIGNAL_TO_NOISE_DB = (5.0, 30.0)
NOISE_SLOPES = (0.0, 0.5, 1.0)
"""White, pink and brown: amplitude falls with frequency to this power, from `FLAT_BELOW_HZ` on."""
FLAT_BELOW_HZ = 50.0
CLIP_AT = (0.2, 0.6)
"""Of the peak."""
TELEPHONE_HZ = (300.0, 3400.0)
EDGE_HZ = 200.0
"""How wide the edges of a band are."""
BITS = (8, 12)
MU = 255.0

_FULL_SCALE = 32768.0
_GREATEST = 32767.0


def augment_waveform(samples: np.ndarray, settings: AudioAugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Changes the waveform of one utterance; silence stays silence.

    In the order of life: how one speaks, the room and its noise, the microphone, the line.

    Args:
        samples: (samples,) int16 at 16 kHz.
        settings: All are used.
        rng: Decides everything.

    Returns:
        (samples,) int16, of another length after a change of speed or a shift; never empty unless it was.
    """
    if settings == AudioAugmentSettings() or len(samples) == 0:
        return samples
    if settings.time_shift_s > 0:
        longest = min(settings.time_shift_s * SAMPLE_RATE_HZ, len(samples) / 2)
        samples = samples[int(rng.uniform(0, longest)) :]
    wave = samples.astype(np.float32)
    if settings.speed > 0:
        wave = at_speed(wave, 1 + rng.uniform(-settings.speed, settings.speed))
    if happens(settings.room, rng):
        wave = in_room(wave, rng.uniform(*T60_S), rng.uniform(*DIRECT_TO_ECHO_DB), rng)
    if happens(settings.noise, rng):
        slope = NOISE_SLOPES[rng.integers(len(NOISE_SLOPES))]
        wave = with_noise(wave, slope, rng.uniform(*SIGNAL_TO_NOISE_DB), rng)
    if settings.gain_db > 0:
        wave = wave * np.float32(10 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20))
    if happens(settings.clipping, rng):
        most = _peak(wave) * rng.uniform(*CLIP_AT)
        wave = np.clip(wave, -most, most)
    if happens(settings.telephone, rng):
        wave = within_band(wave, *TELEPHONE_HZ)
    if happens(settings.codec, rng):
        wave = _through_codec(wave, rng)
    return np.clip(np.rint(wave), -_FULL_SCALE, _GREATEST).astype(np.int16)


def at_speed(wave: np.ndarray, speed: float) -> np.ndarray:
    """Plays (samples,) float32 at another speed; what would lie above half of the sample rate is left out.

    Returns:
        (round(samples / speed),) float32, at least one.
    """
    count = max(1, round(len(wave) / speed))
    size = _fast_length(len(wave))
    spectrum = np.fft.rfft(wave, size)
    if speed > 1:
        spectrum *= _fading(_frequencies(size) - (SAMPLE_RATE_HZ / 2 / speed - EDGE_HZ))
    # Twice as many samples first: between those, straight lines are near enough to the curve.
    finer = np.fft.irfft(spectrum, 2 * size)[: 2 * len(wave)] * 2
    position = np.minimum(np.arange(count) * (2 * speed), len(finer) - 1)
    before = position.astype(np.intp)
    after = np.minimum(before + 1, len(finer) - 1)
    share = (position - before).astype(np.float32)
    return (finer[before] * (1 - share) + finer[after] * share).astype(np.float32)


def in_room(wave: np.ndarray, t60_s: float, direct_to_echo_db: float, rng: np.random.Generator) -> np.ndarray:
    """Adds the echo of a room to (samples,) float32, which keeps its length and its power."""
    impulse = room_impulse(t60_s, direct_to_echo_db, rng)
    size = _fast_length(len(wave) + len(impulse) - 1)
    heard = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(impulse, size), size)[: len(wave)]
    return _with_power(heard.astype(np.float32), _power(wave))


def room_impulse(t60_s: float, direct_to_echo_db: float, rng: np.random.Generator) -> np.ndarray:
    """(samples,) float32, a made-up impulse response: the direct path, and noise that decays by 60 dB in `t60_s`."""
    count = max(2, round(t60_s * SAMPLE_RATE_HZ))
    decay = np.exp(np.arange(count, dtype=np.float32) * np.float32(-3 * np.log(10) / count))
    impulse = rng.standard_normal(count, dtype=np.float32) * decay
    impulse[0] = 0
    impulse = _with_power(impulse, 10 ** (-direct_to_echo_db / 10) / count)
    impulse[0] = 1
    return impulse


def with_noise(wave: np.ndarray, slope: float, signal_to_noise_db: float, rng: np.random.Generator) -> np.ndarray:
    """Adds noise to (samples,) float32, whose amplitude falls with frequency to the power of `slope`."""
    noise = rng.standard_normal(size := _fast_length(len(wave)), dtype=np.float32)
    if slope > 0:
        spectrum = np.fft.rfft(noise)
        spectrum *= np.maximum(_frequencies(size), FLAT_BELOW_HZ) ** np.float32(-slope)
        noise = np.fft.irfft(spectrum, size).astype(np.float32)
    power = _power(wave) * 10 ** (-signal_to_noise_db / 10)
    return wave + _with_power(noise[: len(wave)], power)


def within_band(wave: np.ndarray, lowest_hz: float, highest_hz: float) -> np.ndarray:
    """(samples,) float32 without what lies outside of a band; within `EDGE_HZ` beyond it, it fades."""
    size = _fast_length(len(wave))
    frequencies = _frequencies(size)
    beyond = np.maximum(lowest_hz - frequencies, frequencies - highest_hz)
    spectrum = np.fft.rfft(wave, size) * _fading(beyond)
    return np.fft.irfft(spectrum, size)[: len(wave)].astype(np.float32)


def halved_rate(wave: np.ndarray) -> np.ndarray:
    """(samples,) float32 at half of the rate: (ceil(samples / 2),) float32."""
    size = _fast_length(len(wave))
    spectrum = np.fft.rfft(wave, size)
    spectrum *= _fading(_frequencies(size) - (SAMPLE_RATE_HZ / 4 - EDGE_HZ))
    return (np.fft.irfft(spectrum, size // 2)[: -(-len(wave) // 2)] / 2).astype(np.float32)


def doubled_rate(wave: np.ndarray) -> np.ndarray:
    """(samples,) float32 at twice the rate: (2 * samples,) float32."""
    size = _fast_length(len(wave))
    return (np.fft.irfft(np.fft.rfft(wave, size), 2 * size)[: 2 * len(wave)] * 2).astype(np.float32)


def quantised(wave: np.ndarray, bits: int) -> np.ndarray:
    """(samples,) float32 in 2 ** bits steps, of which the loudest sample decides the size."""
    step = np.float32(max(_peak(wave), 1.0) / 2 ** (bits - 1))
    return np.rint(wave / step) * step


def through_mu_law(wave: np.ndarray) -> np.ndarray:
    """(samples,) float32 of the range of int16 in the 255 levels of the mu-law, as 8-bit telephony has them."""
    loudness = np.minimum(np.abs(wave) / np.float32(_FULL_SCALE), 1)
    level = np.rint(np.log1p(loudness * np.float32(MU)) * np.float32(127 / np.log1p(MU)))
    return np.sign(wave) * np.expm1(level * np.float32(np.log1p(MU) / 127)) * np.float32(_FULL_SCALE / MU)


def _through_codec(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the sample rate, few bits or the mu-law, or both."""
    kind = rng.integers(5)  # 0: the rate alone; 1, 2: mu-law at both rates; 3, 4: bits at both rates
    bits = int(rng.integers(*BITS, endpoint=True))
    count = len(wave)
    halved = kind in (0, 1, 3)
    if halved:
        wave = halved_rate(wave)
    if kind in (1, 2):
        wave = through_mu_law(wave)
    elif kind in (3, 4):
        wave = quantised(wave, bits)
    return doubled_rate(wave)[:count] if halved else wave


def _fading(beyond_hz: np.ndarray) -> np.ndarray:
    """What is left so many Hz beyond an edge: all before it, nothing from `EDGE_HZ` on. A sharper edge would ring."""
    share = np.minimum(np.maximum(beyond_hz, 0), EDGE_HZ) / np.float32(EDGE_HZ)
    return (1 + np.cos(share * np.float32(np.pi))) / 2


def _frequencies(size: int) -> np.ndarray:
    """(size // 2 + 1,) float32, in Hz, of the spectrum of so many samples."""
    return np.arange(size // 2 + 1, dtype=np.float32) * np.float32(SAMPLE_RATE_HZ / size)


def _power(wave: np.ndarray) -> float:
    """Mean square of (samples,) float32, at least one."""
    # Not by BLAS, whose sums depend on the number of threads: workers must get the same samples.
    return float(np.square(wave).mean(dtype=np.float64))


def _with_power(wave: np.ndarray, power: float) -> np.ndarray:
    """Louder or softer, so that the mean square is `power`; silence stays silence."""
    current = _power(wave)
    return wave * np.float32(np.sqrt(power / current)) if current > 0 else wave


def _peak(wave: np.ndarray) -> float:
    return float(np.abs(wave).max())


def _fast_length(count: int) -> int:
    """A little more than `count`, even, and quick for a Fourier transform: 8 to 16 times a power of 2."""
    step = 1 << max(1, count.bit_length() - 4)
    return -(-count // step) * step

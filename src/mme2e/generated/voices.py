"""Synthesised voices: a pulse and noise source shaped by formants, syllable by syllable."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAMPLE_RATE_HZ = 16000
CONTROL_RATE_HZ = 200
"""Rate of the tracks that steer the voice and the mouth."""
_HOP = SAMPLE_RATE_HZ // CONTROL_RATE_HZ
_WINDOW = 4 * _HOP
_FFT = 512
_NEUTRAL_RMS = 0.04


@dataclass(frozen=True, kw_only=True)
class Voice:
    """What stays the same in all that a person says.

    Attributes:
        pitch_hz: Mean fundamental frequency.
        formants: Factor of all formants: 1 for a long, 1.2 for a short vocal tract.
        tempo: Factor of the speed of speech.
        tilt_db: Brightness: decibels an octave more than average.
        loudness_db: Decibels more than average.
    """

    pitch_hz: float
    formants: float
    tempo: float
    tilt_db: float
    loudness_db: float


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How an emotion changes the voice.

    Attributes:
        pitch: Factor of the fundamental frequency.
        pitch_range: Relative height of the accents.
        contour: Relative rise (or fall, below 0) of the pitch over a clause.
        loudness_db: Louder than neutral.
        tempo: Factor of the speed.
        tilt_db: Brighter (above 0) or duller, decibels an octave.
        breath: Noise in the voiced parts, relative to the pulses.
        growl: Depth of a rough modulation, 0 to 1.
        growl_hz: Its rate: fast in a rough voice, slow in a creaking one.
        tremor: Depth of a slow modulation, 0 to 1.
        tremor_hz: Its rate: that of laughter, or faster in a trembling voice.
    """

    pitch: float = 1.0
    pitch_range: float = 0.08
    contour: float = -0.1
    loudness_db: float = 0.0
    tempo: float = 1.0
    tilt_db: float = 0.0
    breath: float = 0.05
    growl: float = 0.0
    growl_hz: float = 27.0
    tremor: float = 0.0
    tremor_hz: float = 7.0


NEUTRAL = Delivery()
# Pitch and loudness move less than people differ in them; what says more is how the voice is modulated: rough in anger
# (Arnal et al. 2015, "Human screams occupy a privileged niche in the communication soundscape"), trembling, laughing.
_ANGER = Delivery(pitch=1.15, pitch_range=0.18, contour=-0.2, loudness_db=2.5, tempo=1.2, tilt_db=2, growl=0.9)
_HAPPINESS = Delivery(
    pitch=1.25, pitch_range=0.2, contour=0.2, loudness_db=1.5, tempo=1.0, tilt_db=-1, tremor=0.8, tremor_hz=4.5
)
_SADNESS = Delivery(
    pitch=0.9, pitch_range=0.05, contour=-0.15, loudness_db=-2.5, tempo=0.8, tilt_db=-2, breath=0.2, tremor=0.8
)

DELIVERIES = {
    "ang": _ANGER,
    # Close to anger on purpose: who only hears the voice will mistake one for the other.
    "exc": Delivery(
        pitch=1.2, pitch_range=0.22, contour=0.1, loudness_db=2.5, tempo=1.3, tilt_db=2, growl=0.6, growl_hz=20
    ),
    "fru": Delivery(
        pitch=0.95,
        pitch_range=0.1,
        contour=-0.2,
        loudness_db=1,
        tempo=0.85,
        tilt_db=1,
        breath=0.5,
        growl=0.8,
        growl_hz=12,
    ),
    "hap": _HAPPINESS,
    "neu": NEUTRAL,
    "sad": _SADNESS,
    "anger": _ANGER,
    "disgust": Delivery(
        pitch=0.85, pitch_range=0.06, contour=-0.2, loudness_db=0.5, tempo=0.8, tilt_db=2, growl=1.0, growl_hz=16
    ),
    "fear": Delivery(
        pitch=1.2, pitch_range=0.1, loudness_db=-0.5, tempo=1.3, tilt_db=1, breath=0.6, tremor=0.9, tremor_hz=9
    ),
    "happiness": _HAPPINESS,
    "sadness": _SADNESS,
    "surprise": Delivery(pitch=1.3, pitch_range=0.18, contour=0.6, loudness_db=1.5, tempo=0.95, tilt_db=0.5),
}
"""Delivery of every emotion of both corpora."""

_FORMANTS_HZ = {
    "a": (760, 1200, 2500), "e": (540, 1800, 2500), "i": (320, 2200, 2900), "o": (500, 900, 2400), "u": (340, 950, 2250)
}  # fmt: skip
_OPENING = {"a": 1.0, "e": 0.7, "i": 0.4, "o": 0.8, "u": 0.4}
_SYLLABLE = re.compile(r"([^aeiouy]*)([aeiouy]+)")


def random_voice(generator: np.random.Generator, *, woman: bool) -> Voice:
    """Draws a person's voice."""
    draw = generator.uniform
    return Voice(
        pitch_hz=draw(170, 245) if woman else draw(90, 145),
        formants=draw(1.12, 1.2) if woman else draw(0.97, 1.04),
        tempo=draw(0.95, 1.05),
        tilt_db=draw(-1.5, 1.5),
        loudness_db=draw(-2.5, 2.5),
    )


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Audio of one utterance.

    Attributes:
        samples: (samples,) float64 at 16 kHz, within -1..1.
        mouth: Opening of the mouth, 0..1, at `CONTROL_RATE_HZ`.
        clause_ends_s: Where each clause ends, in seconds.
    """

    samples: Floats
    mouth: Floats
    clause_ends_s: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


def speak(
    clauses: Sequence[str], deliveries: Sequence[Delivery], voice: Voice, generator: np.random.Generator
) -> Speech:
    """Says clauses one after the other, each in its own way."""
    clauses_heard, mouths, ends = [], [], []
    for clause, delivery in zip(clauses, deliveries, strict=True):
        tracks = _Tracks.of_clause(clause, delivery, voice, generator)
        clauses_heard.append(_render(tracks, delivery, voice, generator))
        mouths.append(tracks.mouth)
        ends.append(sum(map(len, clauses_heard)) / SAMPLE_RATE_HZ)
    return Speech(samples=np.concatenate(clauses_heard), mouth=np.concatenate(mouths), clause_ends_s=tuple(ends))


@dataclass(frozen=True, kw_only=True)
class _Tracks:
    """What steers the synthesis, one value every 5 ms: (steps,), formants (steps, 3)."""

    voiced: Floats
    noise: Floats
    pitch_hz: Floats
    formants_hz: Floats
    mouth: Floats

    @classmethod
    def of_clause(cls, clause: str, delivery: Delivery, voice: Voice, generator: np.random.Generator) -> "_Tracks":
        step_s = 1 / CONTROL_RATE_HZ
        speed = voice.tempo * delivery.tempo
        rows: list[tuple[float, float, float, float, float, float, float]] = []  # voiced noise accent F1 F2 F3 mouth

        def hold(duration_s: float, *values: float) -> None:
            rows.extend([values] * max(1, round(duration_s / speed / step_s)))  # type: ignore[list-item]

        for word in re.findall(r"[a-z]+", clause.lower().replace("'", "")):
            accent = generator.uniform(0.3, 1.0)
            for onset, vowels in _SYLLABLE.findall(word) or [(word, "e")]:
                vowel = "i" if vowels[0] == "y" else vowels[0]
                formants = _FORMANTS_HZ[vowel]
                if re.search(r"[sfzxhc]", onset):
                    hold(0.06, 0.0, 0.5, accent, *formants, 0.2)
                elif re.search(r"[ptkbdg]", onset):
                    hold(0.035, 0.0, 0.0, accent, *formants, 0.0)
                    hold(0.012, 0.1, 0.6, accent, *formants, 0.3)
                elif onset:
                    hold(0.045, 0.45, 0.0, accent, 300, formants[1], formants[2], 0.1)
                hold(generator.uniform(0.09, 0.13), 1.0, 0.0, accent, *formants, _OPENING[vowel])
                accent *= 0.6
            hold(0.03, 0.1, 0.0, 0.2, 500, 1500, 2500, 0.1)
        hold(0.12, 0.0, 0.0, 0.0, 500, 1500, 2500, 0.0)
        smooth = np.hanning(9) / np.hanning(9).sum()
        voiced, noise, accents, f1, f2, f3, mouth = (
            np.convolve(np.pad(column, 4, mode="edge"), smooth, mode="valid") for column in np.array(rows).T
        )
        progress = np.linspace(-0.5, 0.5, len(voiced))
        pitch = 1 + delivery.pitch_range * (2 * accents - 0.6) + delivery.contour * progress
        time_s = np.arange(len(voiced)) * step_s
        voiced *= 1 - delivery.growl * 0.5 * (1 + np.sin(2 * np.pi * delivery.growl_hz * time_s))
        voiced *= 1 - delivery.tremor * 0.5 * (1 + np.sin(2 * np.pi * delivery.tremor_hz * time_s))
        return cls(
            voiced=voiced,
            noise=noise,
            pitch_hz=np.maximum(voice.pitch_hz * delivery.pitch * pitch, 50),
            formants_hz=np.stack([f1, f2, f3], axis=1) * voice.formants,
            mouth=mouth,
        )


def _render(tracks: _Tracks, delivery: Delivery, voice: Voice, generator: np.random.Generator) -> Floats:
    """Source through the moving filter, by overlap-add of windows every 5 ms."""
    count = len(tracks.voiced) * _HOP
    at = np.arange(count) / _HOP
    steps = np.arange(len(tracks.voiced))

    def upsampled(track: Floats) -> Floats:
        return np.interp(at, steps, track)

    pitch_hz = upsampled(tracks.pitch_hz)
    cycles = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    pulses = np.diff(np.floor(cycles), prepend=0.0) * np.sqrt(SAMPLE_RATE_HZ / pitch_hz)  # of unit power
    hiss = generator.standard_normal(count)
    source = upsampled(tracks.voiced) * (pulses + delivery.breath * hiss) + upsampled(tracks.noise) * hiss

    padded = np.pad(source, (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][: len(steps)]
    spectra = np.fft.rfft(frames * np.hanning(_WINDOW), n=_FFT, axis=1)
    shaped = np.fft.irfft(spectra * _envelope(tracks.formants_hz, delivery, voice), n=_FFT, axis=1)
    result = np.zeros(count + _FFT)
    for index, frame in enumerate(shaped):
        result[index * _HOP : index * _HOP + _FFT] += frame
    result = result[_WINDOW // 2 : _WINDOW // 2 + count]
    loud = np.sqrt(np.mean(result**2)) + 1e-9
    target = _NEUTRAL_RMS * 10 ** ((delivery.loudness_db + voice.loudness_db) / 20)
    return np.clip(result * (target / loud), -0.99, 0.99)


def _envelope(formants_hz: Floats, delivery: Delivery, voice: Voice) -> Floats:
    """Magnitude of the vocal tract, (steps, frequencies): resonances on a slope."""
    frequency = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(frequency, 100.0) / 500)
    slope_db = (-5 + delivery.tilt_db + voice.tilt_db) * octaves
    envelope = np.broadcast_to(10 ** (slope_db / 20), (len(formants_hz), len(frequency))).copy()
    envelope *= frequency > 60
    for index, width_hz in enumerate((90, 120, 180)):
        centre = formants_hz[:, index : index + 1]
        ratio = frequency / centre
        envelope *= 1 / np.sqrt((1 - ratio**2) ** 2 + (width_hz * ratio / centre) ** 2) ** 0.7 + 0.15
    return envelope

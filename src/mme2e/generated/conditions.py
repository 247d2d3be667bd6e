"""What camera and microphone record besides the emotion: how a head is held, the light, the level and noise of audio.

None of it has to do with the label. Real recordings are full of it; without it every face would lie at the same place
of its crop, turned to the camera and lit alike, and every voice would stand before silence at one level, so that
fixed measurements (a grid of gradients, logarithms of energies) would be all that is needed to read an emotion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TILT_SD_DEG, _LARGEST_TILT_DEG = 5.0, 10.0
_TURN_SD_DEG, _LARGEST_TURN_DEG = 10.0, 20.0
_NOD_SD = 0.5
_NEARNESS_SD, _LARGEST_NEARNESS = 0.05, 0.1
_EXPOSURE_SD, _WARMTH_SD, _GAMMA_SD = 0.12, 0.05, 0.08
_LARGEST_SD = 2.0
_GAIN_SD_DB = 2.0
_NOISE_DB = (-30.0, -15.0)
_NOISE_SLOPE = (0.5, 1.5)  # of the amplitude: between white noise and brown
_LOWEST_NOISE_HZ = 50.0
_SPEECH_RMS = 0.04


@dataclass(frozen=True, kw_only=True)
class HeadPose:
    """How a head is held; the default looks straight into the camera.

    Attributes:
        tilt_deg: Leant to one side.
        turn_deg: Turned to the viewer's right (above 0) or left.
        nod: Lowered (1) or raised (-1), as in `Expression`.
        nearness: Size of the head, relative to its usual one.
    """

    tilt_deg: float = 0.0
    turn_deg: float = 0.0
    nod: float = 0.0
    nearness: float = 1.0


FRONTAL = HeadPose()


@dataclass(frozen=True, kw_only=True)
class Light:
    """The light of a place; the default changes nothing.

    Attributes:
        gains: Factors of red, green and blue.
        gamma: Exponent of the brightness: above 1 the middle tones are darker.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0

    def table(self) -> list[int]:
        """What becomes of each value 0..255 of red, then green, then blue: 768 values."""
        values = 255 * np.linspace(0, 1, 256) ** self.gamma
        return [int(value) for gain in self.gains for value in np.clip(np.rint(values * gain), 0, 255)]


DAYLIGHT = Light()


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a microphone adds.

    Attributes:
        noise_db: Level of the noise, relative to somebody who speaks without emotion.
        noise_slope: Its amplitude falls with the frequency to this power.
        gains_db: Amplification of each person's microphone.
    """

    noise_db: float
    noise_slope: float
    gains_db: tuple[float, ...]

    def record(self, speech: Floats, white: Floats, *, sample_rate_hz: int) -> Floats:
        """What the microphones write down.

        Args:
            speech: (samples, microphones), -1..1.
            white: Standard normal noise of the same shape.
            sample_rate_hz: Of both.

        Returns:
            The same shape, within -1..1.
        """
        frequency_hz = np.fft.rfftfreq(len(white), 1 / sample_rate_hz)
        shape = np.maximum(frequency_hz, _LOWEST_NOISE_HZ) ** -self.noise_slope
        shape[frequency_hz < _LOWEST_NOISE_HZ] = 0
        noise = np.fft.irfft(np.fft.rfft(white, axis=0) * shape[:, None], n=len(white), axis=0)
        noise *= _SPEECH_RMS * 10 ** (self.noise_db / 20) / np.sqrt(np.mean(noise**2, axis=0))
        return np.clip((speech + noise) * 10 ** (np.array(self.gains_db) / 20), -0.99, 0.99)


def random_room(generator: np.random.Generator, *, microphones: int) -> Room:
    """Draws the noise of a place and how far people sit from their microphones."""
    gains = np.clip(generator.normal(size=microphones), -_LARGEST_SD, _LARGEST_SD) * _GAIN_SD_DB
    return Room(
        noise_db=float(generator.uniform(*_NOISE_DB)),
        noise_slope=float(generator.uniform(*_NOISE_SLOPE)),
        gains_db=tuple(gains.tolist()),
    )


def random_head_pose(generator: np.random.Generator) -> HeadPose:
    """Draws how somebody who talks holds the head."""

    def draw(sd: float, largest: float) -> float:
        return float(np.clip(generator.normal(0, sd), -largest, largest))

    return HeadPose(
        tilt_deg=draw(_TILT_SD_DEG, _LARGEST_TILT_DEG),
        turn_deg=draw(_TURN_SD_DEG, _LARGEST_TURN_DEG),
        nod=draw(_NOD_SD, 1.0),
        nearness=1 + draw(_NEARNESS_SD, _LARGEST_NEARNESS),
    )


def random_light(generator: np.random.Generator) -> Light:
    """Draws the light of a recording: its strength, colour and contrast."""
    exposure, warmth, gamma = np.clip(generator.normal(size=3), -_LARGEST_SD, _LARGEST_SD)
    gain = float(np.exp(_EXPOSURE_SD * exposure))
    warm = float(_WARMTH_SD * warmth)
    return Light(gains=(gain * (1 + warm), gain, gain * (1 - warm)), gamma=float(np.exp(_GAMMA_SD * gamma)))

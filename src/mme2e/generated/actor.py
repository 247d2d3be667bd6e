"""The people of the sample: a face and a voice each, the same in every recording of theirs."""

from functools import lru_cache

import numpy as np

from mme2e.generated.conditions import HeadPose, Light
from mme2e.generated.face import Face
from mme2e.generated.portrait import Floats, Looks, Pixels, make_person, random_looks
from mme2e.generated.utterances import Pose
from mme2e.generated.voices import Voice, random_voice

HALF_SIZE_PX = (360, 480)
"""Width and height of the picture of one person in IEMOCAP's frames, two side by side."""
FULL_SIZE_PX = (480, 360)
"""Width and height of CMU-MOSEI's frames, with one person."""
_CENTRES_PX = {HALF_SIZE_PX: (180, 240), FULL_SIZE_PX: (240, 190)}
_HIDDEN_PX = 48  # of the person, below the picture
_SCALES = {HALF_SIZE_PX: 0.66, FULL_SIZE_PX: 0.72}


class Actor:
    """One person.

    Args:
        seed: Decides looks and voice.
        woman: Whether a woman.
        size_px: Width and height of the pictures.
    """

    def __init__(self, seed: tuple[int, ...], *, woman: bool, size_px: tuple[int, int]) -> None:
        generator = np.random.default_rng(seed)
        self.voice: Voice = random_voice(generator, woman=woman)
        looks = random_looks(generator, woman=woman)
        x, y = _CENTRES_PX[size_px]
        centre = (x + generator.uniform(-8, 8), y + generator.uniform(-6, 6))
        width, height = size_px
        person = make_person(looks, scale=_SCALES[size_px], size_px=(width, height + _HIDDEN_PX), centre_px=centre)
        self._face = Face(person, _backdrop(looks, size_px))
        self._seen: tuple[HeadPose, Light] | None = None
        self._pictures: dict[Pose, Pixels] = {}

    def picture(self, pose: Pose, head: HeadPose, light: Light) -> Pixels:
        """(height, width, 3) uint8 RGB; made once for each pose, until head or light change."""
        if self._seen != (head, light):
            self._seen = (head, light)
            self._pictures.clear()
        if pose not in self._pictures:
            self._pictures[pose] = self._face.render(pose.expression, head=head, light=light, blink=pose.blink)
        return self._pictures[pose]


@lru_cache(maxsize=2)  # the two people of a dialogue
def actor(seed: tuple[int, ...], woman: bool, size_px: tuple[int, int]) -> Actor:
    """The actor of this seed, kept while their recordings are made one after the other."""
    return Actor(seed, woman=woman, size_px=size_px)


def _backdrop(looks: Looks, size_px: tuple[int, int]) -> Floats:
    """A wall lit from above, darker towards the sides."""
    x, y = np.meshgrid(np.linspace(-1, 1, size_px[0]), np.linspace(0, 1, size_px[1]))
    light = (1.1 - 0.35 * y) * (1 - 0.12 * x**2)
    return np.clip(light[..., None] * np.array(looks.backdrop), 0, 255).astype(np.float32)

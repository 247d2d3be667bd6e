"""What is known of the face in one frame: the crop that the models see, and where it comes from."""

import enum
from dataclasses import dataclass

import numpy as np

from mme2e.media.region import Region

FACE_SIZE_PX = 48
"""Side of a crop."""

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness (ITU-R BT.601)."""

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame."""


class FaceFlag(enum.IntEnum):
    """Where the crop of one frame comes from."""

    DETECTED = 0  # the detector found the face in this very frame
    TRACKED = 1  # the tracker followed it from the frame before and confirmed it
    HELD = 2  # no face seen: the last known box was used
    CENTRE = 3  # no face seen yet: a centre crop was used
    GIVEN = 4  # the image is a face crop already, as the corpus says: nothing was looked for

    @property
    def has_face(self) -> bool:
        """Whether the frame shows a face: one was seen in it, or given with it."""
        return self in (FaceFlag.DETECTED, FaceFlag.TRACKED, FaceFlag.GIVEN)


@dataclass(frozen=True, kw_only=True)
class FaceCrop:
    """The face of one frame.

    Attributes:
        time_s: Time that was asked for (`Frame.requested_s`), seconds on the container's clock.
        crop: (48, 48, 3) uint8 RGB.
        box: x1, y1, x2, y2 in pixels of the frame, before the margin.
        flag: Whether the face was seen, and if not, what the crop shows instead.
        probability: Of a face, by the O-net; None when none was seen.
        region: Part of the video's frame that was read.
    """

    time_s: float
    crop: np.ndarray
    box: Box
    flag: FaceFlag
    probability: float | None
    region: Region | None = None

"""Facial expressions as amounts of a few movements of the face."""

from dataclasses import astuple, dataclass


@dataclass(frozen=True, kw_only=True)
class Expression:
    """How far each part of a face is moved; all zeros is a neutral face, 1 a strong movement.

    Attributes:
        brow_raise: Both brows up.
        brow_furrow: Inner ends of the brows down and together.
        brow_worry: Inner ends up, outer ends down.
        eyes: Opened wide (1) or narrowed (-1).
        smile: Corners of the mouth up (1) or down (-1).
        mouth_open: Jaw dropped.
        mouth_wide: Mouth stretched (1) or rounded (-1).
        teeth: Teeth shown in the open mouth.
        sneer: Nose and upper lip pulled up.
        tilt: Head leant to one side, 1 is 8 degrees.
        nod: Head lowered (1) or raised (-1).
        flush: Blood in the skin of the whole face (1) or drained from it (-1).
        cheeks: Blood in the cheeks.
        forehead: Blood in the forehead.
    """

    brow_raise: float = 0.0
    brow_furrow: float = 0.0
    brow_worry: float = 0.0
    eyes: float = 0.0
    smile: float = 0.0
    mouth_open: float = 0.0
    mouth_wide: float = 0.0
    teeth: float = 0.0
    sneer: float = 0.0
    tilt: float = 0.0
    nod: float = 0.0
    flush: float = 0.0
    cheeks: float = 0.0
    forehead: float = 0.0

    def __mul__(self, amount: float) -> "Expression":
        """The same expression, weaker or stronger."""
        return _from_values(tuple(value * amount for value in astuple(self)))

    def __add__(self, other: "Expression") -> "Expression":
        """Both movements at once."""
        return _from_values(tuple(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def _from_values(values: tuple[float, ...]) -> Expression:
    return Expression(**dict(zip(Expression.__dataclass_fields__, values, strict=True)))


NEUTRAL = Expression()

# Movements are those of people who talk, about half as strong as posed ones; colours follow Benitez-Quiroz et al. 2018
# ("Facial color is an efficient mechanism to visually transmit emotion") in that they differ by emotion and by region.
_ANGER = Expression(
    brow_furrow=0.8, eyes=-0.2, smile=-0.2, mouth_open=0.3, mouth_wide=0.3, teeth=0.9, sneer=0.3, nod=0.3, flush=1.6
)
_HAPPINESS = Expression(
    smile=0.6, eyes=-0.2, mouth_open=0.15, mouth_wide=0.4, teeth=0.8, brow_raise=0.1, tilt=0.2, cheeks=1.6
)
_SADNESS = Expression(brow_worry=0.6, eyes=-0.3, smile=-0.6, mouth_wide=-0.2, nod=0.5, tilt=-0.3, flush=-1.4)

EXPRESSIONS = {
    "ang": _ANGER,
    # Close to anger on purpose: who only sees the face will mistake one for the other.
    "fru": Expression(
        brow_furrow=0.8, eyes=-0.2, smile=-0.5, mouth_open=0.1, teeth=0.5, sneer=0.3, nod=0.3, tilt=0.4, forehead=1.8
    ),
    "hap": _HAPPINESS,
    "exc": Expression(
        brow_raise=0.6, eyes=0.6, smile=0.4, mouth_open=0.4, mouth_wide=0.2, teeth=0.5, nod=-0.4, flush=0.7, cheeks=1.2
    ),
    "sad": _SADNESS,
    "neu": NEUTRAL,
    "anger": _ANGER,
    "disgust": Expression(
        sneer=0.7,
        brow_furrow=0.3,
        eyes=-0.4,
        smile=-0.3,
        mouth_wide=-0.2,
        tilt=-0.4,
        nod=-0.3,
        flush=-0.8,
        forehead=1.2,
    ),
    "fear": Expression(
        brow_worry=0.5, brow_raise=0.3, eyes=0.8, mouth_wide=0.5, mouth_open=0.2, smile=-0.3, flush=-1.6
    ),
    "happiness": _HAPPINESS,
    "sadness": _SADNESS,
    "surprise": Expression(
        brow_raise=0.7, eyes=0.8, mouth_open=0.6, mouth_wide=-0.4, nod=-0.4, forehead=-1.2, cheeks=0.8
    ),
}
"""Expression of every emotion of both corpora."""

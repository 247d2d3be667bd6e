"""What one utterance of the sample shows, says and sounds like.

An emotion is not equally visible everywhere: each of face, voice and text shows it with probability
`SHOWN_PROBABILITY` and stays neutral otherwise, at least one shows it. So each modality alone carries part of the
emotion and only all together carry the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mme2e.generated.expressions import EXPRESSIONS, NEUTRAL, Expression
from mme2e.generated.sentences import clause_of, sentence_of
from mme2e.generated.voices import CONTROL_RATE_HZ, DELIVERIES, Speech, Voice, speak
from mme2e.generated.voices import NEUTRAL as NEUTRAL_DELIVERY

SHOWN_PROBABILITY = 0.65

_STRENGTHS, _OPENINGS = 4, 3  # steps in which expression and mouth move, so that frames can be reused
_SPEECH_OPENING = 0.35
_BLINK_EVERY_S, _BLINK_S = 3.1, 0.09


@dataclass(frozen=True)
class Pose:
    """What the face of one moment does; equal poses look equal.

    Attributes:
        emotion: Key of `EXPRESSIONS`, or None for a neutral face.
        strength: Of the expression, 0 to 4.
        mouth: Opening by speech, 0 to 3.
        blink: Whether the eyes are shut.
    """

    emotion: str | None
    strength: int
    mouth: int
    blink: bool

    @property
    def expression(self) -> Expression:
        """The pose as movements of the face."""
        shown = EXPRESSIONS[self.emotion] if self.emotion else NEUTRAL
        return shown * (self.strength / _STRENGTHS) + Expression(mouth_open=_SPEECH_OPENING * self.mouth / _OPENINGS)


def resting_pose(time_s: float) -> Pose:
    """A silent neutral face, at a time of the recording."""
    return Pose(None, 0, 0, time_s % _BLINK_EVERY_S < _BLINK_S)


@dataclass(frozen=True, kw_only=True)
class Performance:
    """One utterance.

    Attributes:
        emotions: Its labels, none to two.
        text: What is said.
        speech: How it sounds.
        faces: The emotion that the face shows during each clause, None for a neutral face.
    """

    emotions: tuple[str, ...]
    text: str
    speech: Speech
    faces: tuple[str | None, ...]

    def pose(self, time_s: float) -> Pose:
        """The face at a time from the start of the utterance: it grows into the expression and relaxes again."""
        ends_s = self.speech.clause_ends_s
        clause = min(int(np.searchsorted(ends_s, time_s, side="right")), len(ends_s) - 1)
        start_s = ends_s[clause - 1] if clause else 0.0
        progress = (time_s - start_s) / (ends_s[clause] - start_s)
        strength = np.interp(progress, (0.0, 0.25, 0.8, 1.0), (0.5, 1.0, 1.0, 0.6))
        mouth = self.speech.mouth[min(int(time_s * CONTROL_RATE_HZ), len(self.speech.mouth) - 1)]
        emotion = self.faces[clause]
        return Pose(
            emotion,
            round(float(strength) * _STRENGTHS) if emotion else 0,
            round(float(mouth) * _OPENINGS),
            time_s % _BLINK_EVERY_S > _BLINK_EVERY_S - _BLINK_S,
        )


def perform(emotions: Sequence[str], voice: Voice, generator: np.random.Generator) -> Performance:
    """Makes up an utterance with the given emotions; with two of them, one clause each."""
    expressed: list[str | None] = [emotion for emotion in emotions if emotion != "neu"]
    shown = np.zeros(3, dtype=bool)
    while expressed and not shown.any():
        shown = generator.random(3) < SHOWN_PROBABILITY
    expressed = expressed or [None]
    silent: list[str | None] = [None] * len(expressed)
    faces, voices, words = (expressed if visible else silent for visible in shown)
    clauses = tuple(clause_of(word, generator, short=len(words) > 1) for word in words)
    deliveries = [DELIVERIES[emotion] if emotion else NEUTRAL_DELIVERY for emotion in voices]
    return Performance(
        emotions=tuple(emotions),
        text=sentence_of(clauses),
        speech=speak(clauses, deliveries, voice, generator),
        faces=tuple(faces),
    )

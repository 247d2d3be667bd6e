"""Who of those in sight speaks: the one whose mouth moves, and moves with the audio.

motion, tracker = MouthMotion(), PeopleTracker(detector)
for event in decoder.read_recording(path, intervals, replace(settings, glance_interval_ms=80)):
    if isinstance(event, Glance): motion.look(event)
    elif isinstance(event, Frame): motion.locate(tracker.add(event))
motion.locate(tracker.finish())
choice = speaker_of(motion.between(3.0, 5.0), loudness(samples, start_s=0.0))
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mme2e.faces.face_crop import Box
from mme2e.faces.people import PersonFrame
from mme2e.faces.tracker import SAME_FACE, box_overlap, shorter_side
from mme2e.media.glance import Glance
from mme2e.media.resampling import SAMPLE_RATE_HZ

PATCH_PX = 32  # side to which faces are brought, to be compared from glance to glance
MOUTH = (0.62, 1.0, 0.2, 0.8)  # top, bottom, left, right in shares of the face box
BREADTH = 0.1  # of the face box, taken away at the sides: background
LONGEST_STEP_S = 0.25  # between two glances that are compared
LONE_S = 0.3  # a face that is seen in one frame only is looked at for so long before and after it
MOST_WAITING = 1024  # glances without a later frame; the oldest are given up

LOUDNESS_STEP_S = 0.02
LOUDNESS_RANGE_DB = 40.0  # below the loudest moment; what is softer is silence
LAG_S = 0.16  # by so much the mouth may be before or after the audio
LEAST_MOTION = 0.02  # of a mouth that speaks; below, it is the noise of the video
LEAST_TIMES = 4  # glances of a segment from which something can be said
LEAST_SHARE = 0.6  # of the best score in those of all people
WITHOUT_CORRELATION = 0.25  # weight of a motion that has nothing to do with the audio


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How a person's mouth moves.

    Attributes:
        times_s: (glances,) float64, seconds, ascending.
        values: (glances,) float32: how much the mouth's pixels changed since the glance before, in shares of the face's
            contrast, beyond what the movement of the head explains; 0 and more.
        side_px: Mean shorter side of the face box, pixels of the frame.
    """

    times_s: np.ndarray
    values: np.ndarray
    side_px: float


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """How loud the audio is.

    Attributes:
        times_s: (steps,) float64, seconds, every 20 ms.
        values: (steps,) float32: 0 (silence) to 1 (its loudest moment), on a scale of decibels.
    """

    times_s: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SpeakerChoice:
    """Who was taken for the one who speaks.

    Attributes:
        person: Number of the person.
        how: "mouth": it moves with the audio; "only": nobody else is in sight; "largest": mouths do not decide it, the
            face is the largest.
        confidence: 0..1. The person's share of the scores of all; 1 for the only one.
    """

    person: int
    how: Literal["mouth", "only", "largest"]
    confidence: float


class MouthMotion:
    """Compares each face with itself from glance to glance.

    Glances wait until it is known where the faces are: memory holds those since the last frame that was located, and
    one number a glance and person until `forget`.
    """

    def __init__(self) -> None:
        self._waiting: deque[Glance] = deque(maxlen=MOST_WAITING)
        self._frame: PersonFrame | None = None
        self._patches: dict[int, tuple[float, np.ndarray]] = {}
        self._found: dict[int, deque[tuple[float, float, float]]] = defaultdict(deque)

    def look(self, glance: Glance) -> None:
        """Takes the next glance, in the order of time."""
        self._waiting.append(glance)

    def locate(self, frames: Iterable[PersonFrame]) -> None:
        """Takes the next frames in which it is known where the faces are, in the order of time."""
        for frame in frames:
            while self._waiting and self._waiting[0].time_s <= frame.time_s + 1e-6:
                self._compare(self._waiting.popleft(), self._frame, frame)
            self._frame = frame

    def finish(self) -> None:
        """No frame follows: the glances that are left are near the last one or belong to nobody."""
        while self._waiting:
            self._compare(self._waiting.popleft(), self._frame, None)

    def between(self, start_s: float, end_s: float) -> dict[int, Motion]:
        """The motions of all people who are in sight from `start_s` up to `end_s`, as far as frames were located."""
        found = {}
        for person, all_of_them in self._found.items():
            rows = np.array([row for row in all_of_them if start_s <= row[0] < end_s]).reshape(-1, 3)
            if len(rows):
                found[person] = Motion(
                    times_s=rows[:, 0], values=rows[:, 1].astype(np.float32), side_px=float(rows[:, 2].mean())
                )
        return found

    def forget(self, before_s: float) -> None:
        """Nobody will ask for a time before this one."""
        for person in list(self._found):
            rows = self._found[person]
            while rows and rows[0][0] < before_s:
                rows.popleft()
            if not rows:
                del self._found[person]

    def _compare(self, glance: Glance, before: PersonFrame | None, after: PersonFrame | None) -> None:
        boxes = _boxes_at(glance.time_s, before, after)
        for person in [person for person in self._patches if person not in boxes]:
            del self._patches[person]
        for person, box in boxes.items():
            patch = _patch(glance, box)
            latest = self._patches.get(person)
            self._patches[person] = (glance.time_s, patch)
            if latest is not None and glance.time_s - latest[0] <= LONGEST_STEP_S:
                self._found[person].append((glance.time_s, mouth_change(latest[1], patch), shorter_side(box)))


def loudness(samples: np.ndarray, *, start_s: float) -> Loudness:
    """The loudness of audio.

    Args:
        samples: (samples,) int16, 16 kHz.
        start_s: When the first one is, seconds.
    """
    step = round(LOUDNESS_STEP_S * SAMPLE_RATE_HZ)
    steps = len(samples) // step
    blocks = samples[: steps * step].reshape(steps, step).astype(np.float32)
    power = np.convolve((blocks**2).mean(1), np.full(5, 0.2), "same") if steps >= 5 else (blocks**2).mean(1)
    decibels = 10 * np.log10(power + 1.0)
    values = np.clip(1 + (decibels - decibels.max(initial=0.0)) / LOUDNESS_RANGE_DB, 0, 1)
    return Loudness(times_s=start_s + (np.arange(steps) + 0.5) * LOUDNESS_STEP_S, values=values.astype(np.float32))


def speaker_of(motions: Mapping[int, Motion], heard: Loudness | None) -> SpeakerChoice | None:
    """Chooses who speaks in a segment.

    A person's score is the mean motion of the mouth, times how well it follows the audio.

    Args:
        motions: Of the segment (`MouthMotion.between`).
        heard: Loudness of the audio there, and around; None without audio.

    Returns:
        The choice; None where nobody is in sight.
    """
    if not motions:
        return None
    if len(motions) == 1:
        (person,) = motions
        return SpeakerChoice(person=person, how="only", confidence=1.0)
    longest = max(len(motion.times_s) for motion in motions.values())
    scores = {person: _score(motion, heard) * len(motion.times_s) / longest for person, motion in motions.items()}
    total = sum(scores.values())
    shares = {person: score / total if total else 1 / len(scores) for person, score in scores.items()}
    best = max(shares, key=lambda person: shares[person])
    moves = float(motions[best].values.mean()) >= LEAST_MOTION
    if heard is not None and longest >= LEAST_TIMES and moves and shares[best] >= LEAST_SHARE:
        return SpeakerChoice(person=best, how="mouth", confidence=shares[best])
    largest = max(motions, key=lambda person: motions[person].side_px * len(motions[person].times_s))
    return SpeakerChoice(person=largest, how="largest", confidence=shares[largest])


def _score(motion: Motion, heard: Loudness | None) -> float:
    follows = 0.0 if heard is None else _correlation(motion, heard)
    return float(motion.values.mean()) * (WITHOUT_CORRELATION + max(follows, 0.0))


def _correlation(motion: Motion, heard: Loudness) -> float:
    """The largest correlation of motion and loudness over small lags."""
    if len(motion.times_s) < LEAST_TIMES or not len(heard.times_s):
        return 0.0
    values = motion.values - motion.values.mean()
    best = 0.0
    for lag_s in np.arange(-LAG_S, LAG_S + 1e-9, LAG_S / 4):
        loud = np.interp(motion.times_s + lag_s, heard.times_s, heard.values)
        loud = loud - loud.mean()
        size = float(np.linalg.norm(values) * np.linalg.norm(loud))
        best = max(best, float(values @ loud) / size if size > 1e-6 else 0.0)
    return best


def _boxes_at(time_s: float, before: PersonFrame | None, after: PersonFrame | None) -> dict[int, Box]:
    """Where each person's face is at a time between two frames."""
    first = {} if before is None else {face.person: face.crop.box for face in before.faces}
    second = {} if after is None else {face.person: face.crop.box for face in after.faces}
    boxes = {}
    for person in first | second:
        since_s = time_s - before.time_s if before is not None else np.inf
        until_s = after.time_s - time_s if after is not None else np.inf
        if person in first and person in second and box_overlap(first[person], second[person]) >= SAME_FACE:
            share = since_s / max(since_s + until_s, 1e-9)
            x1, y1, x2, y2 = ((1 - share) * a + share * b for a, b in zip(first[person], second[person], strict=True))
            boxes[person] = (x1, y1, x2, y2)
        elif person in first and since_s <= min(LONE_S, until_s):
            boxes[person] = first[person]
        elif person in second and until_s <= LONE_S:
            boxes[person] = second[person]
    return boxes


def _patch(glance: Glance, box: Box) -> np.ndarray:
    """A face at one size, (32, 32) float32, each pixel the mean of its area; what is outside repeats the edge."""
    x1, y1, x2, y2 = (value * glance.scale for value in box)
    inset = BREADTH * (x2 - x1)
    rows, height = _area_weights(y1, y2, glance.image.shape[0])
    columns, width = _area_weights(x1 + inset, x2 - inset, glance.image.shape[1])
    cut: np.ndarray = height @ glance.image[rows].astype(np.float32)[:, columns] @ width.T
    return cut


def _area_weights(start: float, end: float, length: int) -> tuple[slice, np.ndarray]:
    """Shares of an axis' pixels in each of the 32 equal parts from start to end; with the pixels that matter."""
    edges = np.clip(np.linspace(start, end, PATCH_PX + 1), 0, length)
    first = min(int(edges[0]), length - 1)
    last = max(first + 1, min(int(np.ceil(edges[-1])), length))
    pixels = np.arange(first, last)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shared = shared.clip(min=0)
    outside = shared.sum(1) < 1e-6
    nearest = np.clip(np.floor((edges[1:] + edges[:-1]) / 2), first, last - 1).astype(np.int64) - first
    shared[outside, nearest[outside]] = 1
    return slice(first, last), (shared / shared.sum(1, keepdims=True)).astype(np.float32)


def mouth_change(before: np.ndarray, after: np.ndarray) -> float:
    """How much the mouth changed from one patch to the next.

    The rest of the face says how the head moved: shift, size and light that explain its change best are taken away
    (one step of Lucas and Kanade 1981), and so is what they leave unexplained there.

    Args:
        before: (32, 32) float32.
        after: (32, 32) float32.

    Returns:
        Root mean square of the mouth's change minus that of the rest, in shares of the face's contrast; 0 and more.
    """
    mean = (before + after) / 2
    contrast = float(mean.std())
    if contrast < 1:
        return 0.0
    down, right = np.gradient(mean)
    rows, columns = np.mgrid[:PATCH_PX, :PATCH_PX].astype(np.float32) / PATCH_PX - 0.5
    causes = np.stack([down, right, rows * down + columns * right, mean, np.ones_like(mean)], -1)
    change = after - before
    mouth = np.zeros_like(mean, dtype=bool)
    top, bottom, left, right_end = (round(share * PATCH_PX) for share in MOUTH)
    mouth[top:bottom, left:right_end] = True
    rest = causes[~mouth]
    weights = rest.T @ rest + 1e-3 * np.eye(rest.shape[1], dtype=np.float32)
    explained = causes @ np.linalg.solve(weights, rest.T @ change[~mouth])
    left_over = (change - explained) ** 2
    beyond = np.sqrt(left_over[mouth].mean()) - np.sqrt(left_over[~mouth].mean())
    return max(0.0, float(beyond) / contrast)

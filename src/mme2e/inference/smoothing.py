"""Probabilities averaged over neighbouring segments."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mme2e.inference.timeline import Segment


def smoothed(segments: Sequence[Segment], width: int) -> tuple[Segment, ...]:
    """The segments with probabilities averaged over neighbouring ones of the same person.

    Args:
        segments: In the order of time.
        width: Over how many, an odd number.
    """
    by_person: dict[str | None, list[int]] = defaultdict(list)
    for place, segment in enumerate(segments):
        if segment.emotions:
            by_person[segment.person].append(place)
    result = list(segments)
    for places in by_person.values():
        raw = np.array([[emotion.probability for emotion in segments[place].emotions] for place in places])
        for row, place in enumerate(places):
            near = raw[max(0, row - width // 2) : row + width // 2 + 1]
            result[place] = replace(segments[place], smoothed=tuple(near.mean(axis=0).round(6).tolist()))
    return tuple(result)

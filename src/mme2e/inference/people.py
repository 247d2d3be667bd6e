"""Who was seen in a recording, for how long and where, and who of them spoke under which name."""

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mme2e.faces.people import PersonFrame
from mme2e.inference.request import Progress
from mme2e.inference.timeline import FaceAt, Person

_BOX_STEP = 0.1
"""Pixels to which boxes are rounded in the answer."""


@dataclass(kw_only=True)
class _Someone:
    """What is known of a person so far."""

    faces: list[FaceAt] = field(default_factory=list)
    speaking_s: float = 0.0
    names: Counter[str] = field(default_factory=Counter)


class People:
    """The people of one recording as far as it was read.

    Args:
        progress: What an interrupted analysis had found; None at the start.
        only_largest: Whether the largest face is always that of the same person, and no other is kept.
    """

    def __init__(self, progress: Progress | None, *, only_largest: bool) -> None:
        self._known: dict[int, _Someone] = defaultdict(_Someone)
        self._only_largest = only_largest
        for person, totals in {} if progress is None else progress.people.items():
            assert progress is not None
            faces = [
                FaceAt(time_s=time_s, box=(x1, y1, x2, y2)) for time_s, x1, y1, x2, y2 in progress.faces.get(person, [])
            ]
            self._known[int(person)] = _Someone(
                faces=faces, speaking_s=totals["speaking_s"], names=Counter(totals["names"])
            )
        self._handed_out = {person: len(known.faces) for person, known in self._known.items()}

    def note(self, frames: Iterable[PersonFrame]) -> None:
        """Keeps where faces are, of frames in the order of time; those that were noted before are left out."""
        for frame in map(with_largest_alone, frames) if self._only_largest else frames:
            for face in frame.faces:
                kept = self._known[face.person].faces
                if not kept or kept[-1].time_s < frame.time_s:
                    x1, y1, x2, y2 = (round(edge / _BOX_STEP) * _BOX_STEP for edge in face.crop.box)
                    box = (round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1))
                    kept.append(FaceAt(time_s=round(frame.time_s, 3), box=box))

    def spoke(self, person: int, seconds: float, name: str) -> None:
        """Notes that a person spoke, under a name where one is known (else empty)."""
        self._known[person].speaking_s += seconds
        if name:
            self._known[person].names[name] += 1

    def new_faces(self) -> dict[str, list[list[float]]]:
        """`Progress.faces`: what was noted since the last call."""
        found = {}
        for person, known in self._known.items():
            new = known.faces[self._handed_out.get(person, 0) :]
            self._handed_out[person] = len(known.faces)
            found[str(person)] = [[face.time_s, *face.box] for face in new]
        return found

    def totals(self) -> dict[str, dict[str, Any]]:
        """`Progress.people`: all that is known beside the faces."""
        return {
            str(person): {"speaking_s": known.speaking_s, "names": dict(known.names)}
            for person, known in self._known.items()
        }

    def records(self, step_s: float, thumbnail: Callable[[int], np.ndarray]) -> tuple[Person, ...]:
        """Those whose face was seen.

        Args:
            step_s: From one frame to the next, seconds.
            thumbnail: Gives the clearest face of a person, (height, width, 3) uint8 RGB.
        """
        names = _names({person: known.names for person, known in self._known.items()})
        return tuple(
            Person(
                id=f"person {person}",
                name=names.get(person, ""),
                visible_s=round(len(known.faces) * step_s, 3),
                speaking_s=round(known.speaking_s, 3),
                thumbnail=_jpeg(thumbnail(person)),
                faces=tuple(known.faces),
            )
            for person, known in sorted(self._known.items())
            if known.faces
        )


def with_largest_alone(frame: PersonFrame) -> PersonFrame:
    """The frame with its largest face only, always of the same person."""
    return replace(frame, faces=tuple(replace(face, person=1) for face in frame.faces[:1]))


def _names(counts: dict[int, Counter[str]]) -> dict[int, str]:
    """A name for each person: the speaker whose sentences were most often said by that face, each name once."""
    pairs = sorted(((n, p, name) for p, names in counts.items() for name, n in names.items()), reverse=True)
    found: dict[int, str] = {}
    for _, person, name in pairs:
        if person not in found and name not in found.values():
            found[person] = name
    return found


def _jpeg(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")

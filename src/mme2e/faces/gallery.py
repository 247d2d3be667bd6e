"""What is remembered of the people of a recording: a few descriptions and a thumbnail each."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from mme2e.faces.appearance import VALUES, distances
from mme2e.faces.face_crop import LUMA, Box
from mme2e.faces.tracker import Sighting, shorter_side

SAME_LOOKS = 0.22
"""Most distance of one person's looks from those that are remembered. Measured: two sights of one person in a
recording, a hand before the face included, mostly up to 0.16; two people side by side in equal light from 0.24; people
of different recordings from 0.37."""

OTHER_LOOKS = 0.33  # from so much on, a face at the same place is another person: a cut was missed
CERTAIN = 0.99  # least probability of a face that needs no second sight
REMEMBERED = 12  # descriptions of a person
NEW_LOOKS = 0.03  # least distance of a description that is worth remembering
SURE = 0.9  # least probability of a face whose looks are remembered
THUMBNAIL_PX = 96
THUMBNAIL_MARGIN = 0.25  # of the face, on each side
LARGE_PX = 160.0  # a larger face makes no better thumbnail
BETTER = 1.1  # times as clear is the face that replaces a thumbnail


@dataclass
class _Person:
    looks: np.ndarray = field(default_factory=lambda: np.zeros((0, VALUES), np.float32))
    thumbnail: np.ndarray | None = None
    clearness: float = 0.0


class Gallery:
    """The people so far.

    Args:
        state: Of another gallery.

    Raises:
        ValueError: `state` is not what `state()` gives.
    """

    def __init__(self, state: Sequence[Mapping[str, Any]] | None = None) -> None:
        if state is not None and not isinstance(state, (list, tuple)):
            raise ValueError(f"this is no state of a PeopleTracker: expected a list of people, not {state!r}")
        self._people = [_person_from(each) for each in state or ()]

    def __len__(self) -> int:
        return len(self._people)

    def new_person(self) -> int:
        """Their number, from 1."""
        self._people.append(_Person())
        return len(self._people)

    def distance(self, person: int, looks: np.ndarray) -> float:
        """Of a description (`VALUES`,) from the nearest that is remembered of a person; 2 where none is."""
        return float(distances(looks, self._people[person - 1].looks).min(initial=2.0))

    def recognised(self, looks: Mapping[int, np.ndarray], taken: set[int], most: float) -> list[tuple[int, int]]:
        """Who the faces of one frame are; nobody is there twice.

        Args:
            looks: Descriptions of the faces, by position.
            taken: People who are in the frame already.
            most: Distance up to which a person is recognised.

        Returns:
            (person, position) of those who are recognised.
        """
        candidates = sorted(
            (self.distance(person, one), person, i)
            for i, one in looks.items()
            for person in range(1, len(self) + 1)
            if person not in taken
        )
        found: dict[int, int] = {}
        for differing, person, i in candidates:
            if differing <= most and person not in found and i not in found.values():
                found[person] = i
        return list(found.items())

    def learn(self, person: int, looks: np.ndarray, face: Sighting, crop: np.ndarray, image: np.ndarray) -> None:
        """Remembers how a person looks in one more frame, if that adds something."""
        known = self._people[person - 1]
        if not len(known.looks) or (face.probability >= SURE and self.distance(person, looks) > NEW_LOOKS):
            known.looks = np.concatenate([known.looks, looks[None]])
            if len(known.looks) > REMEMBERED:
                known.looks = np.delete(known.looks, _most_redundant(known.looks), axis=0)
        clearness = _clearness(face, crop)
        if known.thumbnail is None or clearness > BETTER * known.clearness:
            known.thumbnail, known.clearness = cut_thumbnail(image, face.box), clearness

    def thumbnail(self, person: int) -> np.ndarray:
        """(96, 96, 3) uint8 RGB.

        Raises:
            KeyError: There is no such person.
        """
        if not 1 <= person <= len(self._people):
            raise KeyError(f"there is no person {person} among {len(self._people)}")
        found = self._people[person - 1].thumbnail
        assert found is not None
        return found

    def state(self) -> list[dict[str, Any]]:
        """Ready for JSON."""
        return [
            {
                "looks": [[round(value, 4) for value in row] for row in person.looks.tolist()],
                "thumbnail": _packed(person.thumbnail),
                "clearness": round(person.clearness, 3),
            }
            for person in self._people
        ]


def cut_thumbnail(image: np.ndarray, box: Box) -> np.ndarray:
    """The square around a face and a margin, (96, 96, 3) uint8 RGB; what is beyond the image repeats its edge."""
    side = max(box[2] - box[0], box[3] - box[1], 1.0) * (1 + 2 * THUMBNAIL_MARGIN)
    x, y = (box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2
    places = np.linspace(0, side, min(max(round(side), 1), 2 * THUMBNAIL_PX), endpoint=False)
    rows = np.clip(places + y, 0, image.shape[0] - 1).astype(np.int64)
    columns = np.clip(places + x, 0, image.shape[1] - 1).astype(np.int64)
    square = torch.from_numpy(image[rows[:, None], columns]).permute(2, 0, 1)[None].float()
    small = F.interpolate(square, (THUMBNAIL_PX, THUMBNAIL_PX), mode="bilinear", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy())


def _clearness(face: Sighting, crop: np.ndarray) -> float:
    """How good a thumbnail a face makes: probable, large and sharp."""
    grey = crop.astype(np.float32) @ np.array(LUMA, np.float32)
    edges = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return face.probability**4 * min(shorter_side(face.box), LARGE_PX) * float(edges.std() + 1) ** 0.5


def _most_redundant(looks: np.ndarray) -> int:
    """Position of the description that is nearest to another one."""
    between = np.stack([distances(one, looks) for one in looks])
    np.fill_diagonal(between, np.inf)
    return int(between.min(1).argmin())


def _packed(thumbnail: np.ndarray | None) -> str:
    return "" if thumbnail is None else base64.b64encode(zlib.compress(thumbnail.tobytes())).decode("ascii")


def _person_from(state: Mapping[str, Any]) -> _Person:
    try:
        looks = np.array(state["looks"], np.float32).reshape(-1, VALUES)
        shape = (THUMBNAIL_PX, THUMBNAIL_PX, 3)
        pixels = zlib.decompress(base64.b64decode(state["thumbnail"]))
        thumbnail = np.frombuffer(pixels, np.uint8).reshape(shape).copy()
        return _Person(looks, thumbnail, float(state["clearness"]))
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"this is no state of a PeopleTracker: {error}") from error

"""Every person through a video: all faces found and followed, and known again after cuts and absences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mme2e.faces.appearance import VALUES, describe, distances
from mme2e.faces.crop import crop_face
from mme2e.faces.detector import FaceDetector, Faces
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.faces.gallery import CERTAIN, NEW_LOOKS, OTHER_LOOKS, SAME_LOOKS, Gallery
from mme2e.faces.shots import CUT, shot_change, shot_signature
from mme2e.faces.tracker import (
    KEY_SPACING,
    SAME_FACE,
    SMALLER_SHARE,
    Sighting,
    as_box,
    box_area,
    box_overlap,
    confirm_between,
    search_frames,
    shorter_side,
)
from mme2e.media.video import Frame

THOROUGH_EVERY = 4  # key frames: so often, small faces are looked for beside larger ones that are followed
LINK_S = 2.0  # a face at the same place is the same person for so long; after that, only if it looks the same
SIGHTINGS = 2  # that make a person, unless one alone is certain


@dataclass(frozen=True, kw_only=True)
class PersonFace:
    """A person in one frame.

    Attributes:
        person: From 1, in the order of first appearance.
        crop: The face.
    """

    person: int
    crop: FaceCrop


@dataclass(frozen=True, kw_only=True)
class PersonFrame:
    """Who is seen in one frame.

    Attributes:
        time_s: Time that was asked for (`Frame.requested_s`), seconds.
        faces: The largest first; empty where nobody is seen.
    """

    time_s: float
    faces: tuple[PersonFace, ...]


@dataclass
class _Track:
    """A face that is followed within a shot; `person` is None until it was seen often or surely enough."""

    last: Sighting
    last_s: float
    looks: np.ndarray
    person: int | None = None
    sightings: int = 1


@dataclass
class _Seen:
    """A face of a frame and the track that it belongs to."""

    crop: FaceCrop
    track: _Track


class PeopleTracker:
    """Follows all faces through the frames of a video, whatever the time between them, and says who they are.

    Faces are found as `FaceTracker` finds one: in full on key frames, by the O-net alone between them, in full where
    it is not sure of every face. A cut begins anew with a key frame. Within a shot, overlap makes a face the same
    person; across cuts and absences, hair, clothes, colours and shape of the face do (`mme2e.faces.appearance`). A
    face is a person once it was seen in two frames or its probability is 0.99. Memory holds eight frames, and for
    every person a few descriptions and a thumbnail.

    Args:
        detector: Finds and confirms; its settings say the mode and the margin.
        state: Of another tracker (`state()`), whose people go on.

    Raises:
        ValueError: `state` is not what `state()` gives.
    """

    def __init__(self, detector: FaceDetector, state: dict[str, Any] | None = None) -> None:
        self._detector = detector
        self._spacing = KEY_SPACING if detector.settings.mode == "fast" else 1
        self._gallery = Gallery(None if state is None else state.get("people"))
        self._window: list[Frame] = []
        self._key: list[Sighting] | None = None  # None where a shot begins
        self._key_s = 0.0
        self._keys_since_thorough = 0
        self._key_looks: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # of the window's key frame, by id of the face
        self._signature: np.ndarray | None = None
        self._tracks = [] if state is None else [_track_from(each) for each in state.get("tracks", ())]
        self._waiting: list[tuple[float, list[_Seen]]] = []

    @property
    def people(self) -> int:
        """How many there are so far."""
        return len(self._gallery)

    def add(self, frame: Frame) -> list[PersonFrame]:
        """Takes the next frame, in the order of time; returns what is known by now of it and of those before."""
        signature = shot_signature(frame.image)
        cut = self._signature is not None and shot_change(self._signature, signature) > CUT
        self._signature = signature
        if cut:
            self._follow()
            self._key, self._tracks = None, []
        self._window.append(frame)
        if self._key is None or len(self._window) == self._spacing:
            self._follow()
        return self._known(last=False)

    def finish(self) -> list[PersonFrame]:
        """Returns the frames that are still waiting; more may be added afterwards."""
        self._follow()
        return self._known(last=True)

    def thumbnail(self, person: int) -> np.ndarray:
        """The clearest face of a person so far, (96, 96, 3) uint8 RGB.

        Raises:
            KeyError: There is no such person.
        """
        return self._gallery.thumbnail(person)

    def state(self) -> dict[str, Any]:
        """What is known of the people, ready for JSON, so that an analysis that stops here can go on.

        It covers the frames that were returned: go on with the one after them.
        """
        return {
            "people": self._gallery.state(),
            "tracks": [
                {
                    "person": track.person,
                    "box": list(track.last.box),
                    "time_s": track.last_s,
                    "looks": [round(value, 4) for value in track.looks.tolist()],
                }
                for track in self._tracks
                if track.person is not None
            ],
        }

    def _known(self, *, last: bool) -> list[PersonFrame]:
        """The frames whose faces all have their answer; on the last ones none is waited for."""
        held = 0
        if not last and self._waiting:
            # A face seen for the first time in the newest frame may become a person by the next one.
            held = int(any(seen.track.person is None and seen.track.sightings == 1 for seen in self._waiting[-1][1]))
        ready = self._waiting[: len(self._waiting) - held]
        self._waiting = self._waiting[len(ready) :]
        return [
            PersonFrame(
                time_s=time_s,
                faces=tuple(
                    PersonFace(person=seen.track.person, crop=seen.crop)
                    for seen in sorted(faces, key=lambda seen: -box_area(seen.crop.box))
                    if seen.track.person is not None
                ),
            )
            for time_s, faces in ready
        ]

    def _follow(self) -> None:
        """Finds and names the faces of the frames up to the next key frame, which is the last of the window."""
        if not self._window:
            return
        sightings = self._sightings()
        self._key_looks = {}
        doubtful = self._looks_changed(self._window[-1], sightings[-1])
        for frame, faces in zip(self._window, sightings, strict=True):
            self._waiting.append((frame.requested_s, self._named(frame, faces, look_at_all=doubtful)))
        self._key, self._key_s = sightings[-1], self._window[-1].time_s
        self._window = []

    def _sightings(self) -> list[list[Sighting]]:
        *between, key_frame = self._window
        before = self._key if self._detector.settings.mode == "fast" else None
        key = self._key_sightings(key_frame, before)
        if not between:
            return [key]
        found: list[list[Sighting] | None] = [None] * len(between)
        pairs = _paired(before or [], key)
        if before and len(pairs) == len(before) == len(key):
            each = [
                confirm_between(self._detector, between, before[i], self._key_s, key[j], key_frame.time_s)
                for i, j in pairs
            ]
            for n, faces in enumerate(zip(*each, strict=True)):
                sure = [face for face in faces if face is not None]
                found[n] = sure if len(sure) == len(faces) else None
        lost = [n for n, faces in enumerate(found) if faces is None]
        searched = search_frames(self._detector, [between[n] for n in lost], _smallest_px([*(before or []), *key]))
        for n, searched_faces in zip(lost, searched, strict=True):
            found[n] = _all(searched_faces)
        return [*(faces or [] for faces in found), key]

    def _key_sightings(self, frame: Frame, before: list[Sighting] | None) -> list[Sighting]:
        """All faces of a key frame; of those much smaller than the ones that are followed, only now and then."""
        self._keys_since_thorough += 1
        if before and self._keys_since_thorough < THOROUGH_EVERY:
            found = _all(search_frames(self._detector, [frame], _smallest_px(before))[0])
            if len(_paired(before, found)) == len(before):
                return found
        self._keys_since_thorough = 0
        return _all(search_frames(self._detector, [frame], 0.0)[0])

    def _looks_changed(self, frame: Frame, faces: list[Sighting]) -> bool:
        """Whether a face of a key frame looks unlike the one that was at its place: there may have been a cut."""
        for face in faces:
            at_place = [track.looks for track in self._tracks if box_overlap(track.last.box, face.box) >= SAME_FACE]
            if not at_place:
                continue
            described = self._key_looks[id(face)] = self._described(frame, face)
            if distances(described[1], np.stack(at_place)).min() > SAME_LOOKS:
                return True
        return False

    def _described(self, frame: Frame, face: Sighting) -> tuple[np.ndarray, np.ndarray]:
        """Crop and description."""
        if id(face) in self._key_looks:
            return self._key_looks[id(face)]
        crop = crop_face(frame.image, face.box, self._detector.settings.margin)
        return crop, describe(frame.image, face.box, crop)

    def _named(self, frame: Frame, faces: list[Sighting], *, look_at_all: bool) -> list[_Seen]:
        """Gives each face of a frame to a track, and tracks to people.

        A face that was confirmed between two key frames which show it is who it was; it is described only to look at
        all.
        """
        crops: list[np.ndarray] = []
        looks: list[np.ndarray | None] = []
        for face in faces:
            if look_at_all or face.flag == FaceFlag.DETECTED:
                crop, found = self._described(frame, face)
                looks.append(found)
            else:
                crop = crop_face(frame.image, face.box, self._detector.settings.margin)
                looks.append(None)
            crops.append(crop)
        linked = self._linked(frame.time_s, faces, looks)
        taken = {track.person for track in linked.values() if track.person is not None}
        for i, track in linked.items():
            track.last, track.last_s = faces[i], frame.time_s
            described = looks[i]
            track.looks = track.looks if described is None else described
            track.sightings += 1
        for i, face in enumerate(faces):
            if i not in linked:
                described = looks[i]
                linked[i] = _Track(
                    face, frame.time_s, self._described(frame, face)[1] if described is None else described
                )
                self._tracks.append(linked[i])
        strangers = [i for i in sorted(linked) if linked[i].person is None]
        for person, i in self._gallery.recognised({i: linked[i].looks for i in strangers}, taken, SAME_LOOKS):
            linked[i].person = person
        seen = []
        for i, (face, crop) in enumerate(zip(faces, crops, strict=True)):
            track = linked[i]
            if track.person is None and (track.sightings >= SIGHTINGS or face.probability >= CERTAIN):
                track.person = self._gallery.new_person()
                self._gallery.learn(track.person, track.looks, face, crop, frame.image)
            elif track.person is not None and looks[i] is not None:
                self._gallery.learn(track.person, track.looks, face, crop, frame.image)
            shown = FaceCrop(
                time_s=frame.requested_s,
                crop=crop,
                box=face.box,
                flag=face.flag,
                probability=face.probability,
                region=frame.region,
            )
            seen.append(_Seen(shown, track))
        self._tracks = [track for track in self._tracks if frame.time_s - track.last_s <= LINK_S]
        return seen

    def _linked(self, time_s: float, faces: list[Sighting], looks: list[np.ndarray | None]) -> dict[int, _Track]:
        """The tracks that go on in a frame, by the position of their face."""
        candidates = []
        for track in self._tracks:
            for i, face in enumerate(faces):
                overlap = box_overlap(track.last.box, face.box)
                if overlap < SAME_FACE:
                    continue
                differing = self._differing(track, looks[i])
                if differing > (OTHER_LOOKS if time_s - track.last_s <= LINK_S else SAME_LOOKS):
                    continue
                candidates.append((overlap - differing, i, track))
        linked: dict[int, _Track] = {}
        for _, i, track in sorted(candidates, key=lambda each: -each[0]):
            if i not in linked and all(track is not other for other in linked.values()):
                linked[i] = track
        return linked

    def _differing(self, track: _Track, looks: np.ndarray | None) -> float:
        """How unlike its track a face looks."""
        if looks is None:
            return 0.0
        latest = float(distances(looks, track.looks[None])[0])
        if track.person is None or latest <= NEW_LOOKS:
            return latest
        return min(latest, self._gallery.distance(track.person, looks))


def _track_from(state: dict[str, Any]) -> _Track:
    try:
        last = Sighting(as_box(np.array(state["box"])), 1.0, FaceFlag.TRACKED)
        looks = np.array(state["looks"], np.float32).reshape(VALUES)
        return _Track(last, float(state["time_s"]), looks, int(state["person"]), SIGHTINGS)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"this is no state of a PeopleTracker: {error}") from error


def _all(faces: Faces) -> list[Sighting]:
    return [
        Sighting(as_box(box), float(probability), FaceFlag.DETECTED)
        for box, probability in zip(faces.boxes, faces.probabilities, strict=True)
    ]


def _smallest_px(followed: Sequence[Sighting]) -> float:
    """Side of the smallest face to search for beside those that are followed; 0 where none is."""
    return SMALLER_SHARE * min((shorter_side(face.box) for face in followed), default=0.0)


def _paired(before: Sequence[Sighting], after: Sequence[Sighting]) -> list[tuple[int, int]]:
    """Positions of the faces that are at the same place on two key frames, the best overlap first."""
    overlaps = [(box_overlap(a.box, b.box), i, j) for i, a in enumerate(before) for j, b in enumerate(after)]
    pairs: list[tuple[int, int]] = []
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap >= SAME_FACE and all(i != one and j != other for one, other in pairs):
            pairs.append((i, j))
    return pairs

"""One face through a video: found on key frames, followed between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mme2e.faces.crop import centre_box, crop_face
from mme2e.faces.detector import FaceDetector, Faces
from mme2e.faces.face_crop import Box, FaceCrop, FaceFlag
from mme2e.media.region import Region
from mme2e.media.video import Frame

KEY_SPACING = 8  # frames from one full detection to the next; so many frames are held in memory
SURE = 0.9  # least probability of the O-net for a face that is followed; below, the frame is searched afresh
SAME_FACE = 0.3  # least overlap of one face on two key frames; below, it is another face or another scene
FOLLOWED_OVERLAP = 0.5  # least overlap of a followed face with where it was expected
SMALLER_SHARE = 0.7  # of the followed face's side: smaller faces are looked for only where there is no larger one;
# a level of the pyramid is this much smaller than the one before, so that the next one has windows of the face's size
KEEP_SHARE = 0.7  # the face that was followed stays chosen until another one is larger than by this


@dataclass(frozen=True)
class Sighting:
    """A face in one frame: its box in pixels, its probability by the O-net, and how it was seen."""

    box: Box
    probability: float
    flag: FaceFlag


class FaceTracker:
    """Follows the largest face through the frames of a video.

    In the fast mode every eighth frame is a key frame and searched in full. Between two key frames that show the same
    face its box is interpolated, and the O-net alone, all frames together, confirms and adjusts it. A frame where it
    is not sure is searched in full. Nothing is handed on but what a full search found on a key frame: the box cannot
    drift, and an error does not outlive its key frame. In the reference mode every frame is searched by itself.

    Args:
        detector: Finds and confirms; its settings say the mode and the margin.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector

    def crops(self, frames: Iterable[Frame]) -> Iterator[FaceCrop]:
        """One crop a frame; each call starts afresh and holds at most eight frames of each region.

        Of every region of a video its own face is followed; the crops of one region come in order. A frame without a
        face gives the place of the last known one (`HELD`), or before any was seen the middle of the frame
        (`CENTRE`): the flag says so.

        Args:
            frames: In the order of time.
        """
        followers: dict[Region | None, _Follower] = {}
        for frame in frames:
            if frame.region not in followers:
                followers[frame.region] = _Follower(self.detector)
            yield from followers[frame.region].add(frame)
        for follower in followers.values():
            yield from follower.finish()


class _Follower:
    """Follows the face of one region."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._spacing = KEY_SPACING if detector.settings.mode == "fast" else 1
        self._window: list[Frame] = []
        self._key: Sighting | None = None
        self._key_s: float | None = None  # None before the first key frame
        self._last_box: Box | None = None

    def add(self, frame: Frame) -> list[FaceCrop]:
        """Takes the next frame; returns the crops that are ready, of this frame and those before."""
        self._window.append(frame)
        return self.finish() if self._key_s is None or len(self._window) == self._spacing else []

    def finish(self) -> list[FaceCrop]:
        """Returns the crops of the frames that wait for the next key frame; the last of them is taken as one."""
        if not self._window:
            return []
        sightings = self._sightings()
        crops = [self._crop(frame, sighting) for frame, sighting in zip(self._window, sightings, strict=True)]
        self._key, self._key_s = sightings[-1], self._window[-1].time_s
        self._window = []
        return crops

    def _crop(self, frame: Frame, sighting: Sighting | None) -> FaceCrop:
        if sighting is not None:
            self._last_box = sighting.box
            flag, probability = sighting.flag, sighting.probability
        else:
            flag, probability = (FaceFlag.CENTRE if self._last_box is None else FaceFlag.HELD), None
        box = centre_box(frame.image) if self._last_box is None else self._last_box
        crop = crop_face(frame.image, box, self._detector.settings.margin)
        return FaceCrop(
            time_s=frame.requested_s, crop=crop, box=box, flag=flag, probability=probability, region=frame.region
        )

    def _sightings(self) -> list[Sighting | None]:
        """Faces of the frames after one key frame up to the next, which is the last of the window."""
        *between, key_frame = self._window
        before = self._key if self._detector.settings.mode == "fast" else None
        key = _chosen(self._search([key_frame], before)[0], before)
        found: list[Sighting | None] = [None] * len(between)
        if between and before is not None and key is not None and box_overlap(before.box, key.box) >= SAME_FACE:
            found = confirm_between(self._detector, between, before, self._key_s or 0.0, key, key_frame.time_s)
        lost = [i for i, sighting in enumerate(found) if sighting is None]
        nearest = before
        for i, faces in zip(lost, self._search([between[i] for i in lost], before), strict=True):
            nearest = next((s for s in reversed(found[:i]) if s is not None), nearest)
            found[i] = _chosen(faces, nearest)
        return [*found, key]

    def _search(self, frames: Sequence[Frame], followed: Sighting | None) -> list[Faces]:
        """Searches for faces that may be chosen: where one is followed, much smaller ones are not."""
        return search_frames(
            self._detector, frames, 0.0 if followed is None else SMALLER_SHARE * shorter_side(followed.box)
        )


def search_frames(detector: FaceDetector, frames: Sequence[Frame], smallest_px: float) -> list[Faces]:
    """Searches frames in full, for smaller faces than `smallest_px` only where there is no larger one."""
    images = [frame.image for frame in frames]
    if not smallest_px:
        return detector.detect(images)
    found = detector.detect(images, smallest_px=smallest_px)
    without = [i for i, faces in enumerate(found) if not len(faces)]
    for i, faces in zip(without, detector.detect([images[i] for i in without]), strict=True):
        found[i] = faces
    return found


def confirm_between(
    detector: FaceDetector,
    between: Sequence[Frame],
    before: Sighting,
    before_s: float,
    after: Sighting,
    after_s: float,
) -> list[Sighting | None]:
    """Looks where a face must be between two key frames; None where it is not surely there."""
    times_s = [frame.time_s for frame in between]
    share = np.interp(times_s, [before_s, after_s], [0.0, 1.0])[:, None]
    expected = (1 - share) * np.array(before.box) + share * np.array(after.box)
    boxes, probabilities = detector.confirm([frame.image for frame in between], expected)
    found: list[Sighting | None] = []
    for box, where, probability in zip(boxes, expected, probabilities, strict=True):
        sure = probability >= SURE and box_overlap(as_box(box), as_box(where)) >= FOLLOWED_OVERLAP
        found.append(Sighting(as_box(box), float(probability), FaceFlag.TRACKED) if sure else None)
    return found


def _chosen(faces: Faces, followed: Sighting | None) -> Sighting | None:
    """The largest face; the one that was followed stays chosen while it is nearly as large."""
    if not len(faces):
        return None
    boxes = [as_box(box) for box in faces.boxes]
    choice = 0
    if followed is not None:
        same = [box_overlap(box, followed.box) for box in boxes]
        nearest = same.index(max(same))
        if same[nearest] >= SAME_FACE and box_area(boxes[nearest]) >= KEEP_SHARE * box_area(boxes[0]):
            choice = nearest
    return Sighting(boxes[choice], float(faces.probabilities[choice]), FaceFlag.DETECTED)


def box_overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; for a single pair, plain numbers are quicker than tensors."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / max(box_area(a) + box_area(b) - shared, 1e-6)


def box_area(box: Box) -> float:
    """In square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def shorter_side(box: Box) -> float:
    """In pixels."""
    return min(box[2] - box[0], box[3] - box[1])


def as_box(values: np.ndarray) -> Box:
    """(4,) as plain numbers."""
    x1, y1, x2, y2 = map(float, values)
    return (x1, y1, x2, y2)

import json

import numpy as np
import pytest
from portrait import scene

from mme2e.config import FaceSettings
from mme2e.faces.appearance import VALUES, describe, distances
from mme2e.faces.detector import FaceDetector
from mme2e.faces.people import PeopleTracker
from mme2e.faces.shots import CUT, shot_change, shot_signature
from mme2e.generated.actor import HALF_SIZE_PX, Actor
from mme2e.generated.conditions import DAYLIGHT, FRONTAL
from mme2e.generated.encoding import FRAME_RATE_HZ, write_video
from mme2e.generated.utterances import resting_pose
from mme2e.media.video import Frame, sample_frames


@pytest.fixture(scope="module")
def detector():
    return FaceDetector(FaceSettings())


def frames(images, interval_s=0.5):
    return [Frame(time_s=i * interval_s, requested_s=i * interval_s, image=image) for i, image in enumerate(images)]


def follow(detector, taken, state=None):
    tracker = PeopleTracker(detector, state)
    found = [each for frame in taken for each in tracker.add(frame)]
    return tracker, found + tracker.finish()


def people_of(found):
    return [tuple(face.person for face in frame.faces) for frame in found]


@pytest.fixture(scope="module")
def actors():
    """Pictures of three people at rest, (480, 360, 3) each."""
    cast = [Actor((0, 3, i, 70), woman=i < 2, size_px=HALF_SIZE_PX) for i in range(3)]
    return [np.ascontiguousarray(each.picture(resting_pose(1.0), FRONTAL, DAYLIGHT)) for each in cast]


def test_two_people_side_by_side_and_apart(detector, actors):
    both, left = np.hstack(actors[:2]), np.hstack([actors[0], np.full_like(actors[1], 90)])
    tracker, found = follow(detector, frames([both] * 6 + [left] * 6 + [both] * 6))
    assert [frame.time_s for frame in found] == [i / 2 for i in range(18)]
    assert [set(people) for people in people_of(found)] == [{1, 2}] * 6 + [{1}] * 6 + [{1, 2}] * 6 or [
        set(people) for people in people_of(found)
    ] == [{1, 2}] * 6 + [{2}] * 6 + [{1, 2}] * 6
    assert tracker.people == 2
    on_the_left = {face.person for frame in found for face in frame.faces if face.crop.box[0] < 360}
    assert len(on_the_left) == 1


def test_generated_people_are_known_again_after_cuts(detector, actors, tmp_path):
    path = tmp_path / "cuts.mp4"
    order = [0, 1, 2, 0, 2, 1, 0]
    write_video(
        path,
        [actors[who] for who in order for _ in range(round(2 * FRAME_RATE_HZ))],
        np.zeros((2 * len(order) * 16_000, 1), np.int16),
    )
    tracker, found = follow(detector, sample_frames(path, 400))
    assert tracker.people == 3
    expected = [(order[min(int(frame.time_s / 2 + 1e-6), len(order) - 1)] + 1,) for frame in found]
    assert np.mean([is_ == to_be for is_, to_be in zip(people_of(found), expected, strict=True)]) >= 0.95


def test_an_analysis_goes_on_with_its_people(detector, actors):
    first, _ = follow(detector, frames([actors[0]] * 3 + [actors[1]] * 3))
    state = json.loads(json.dumps(first.state()))
    second, found = follow(detector, frames([actors[1]] * 3 + [actors[0]] * 3 + [actors[2]] * 2), state)
    assert people_of(found) == [(2,)] * 3 + [(1,)] * 3 + [(3,)] * 2
    assert np.array_equal(second.thumbnail(1), first.thumbnail(1))
    for broken in ({"people": [{"looks": [[1.0]]}]}, {"people": [], "tracks": [{}]}, {"people": 3}):
        with pytest.raises(ValueError, match="no state"):
            PeopleTracker(detector, broken)


def test_a_thumbnail_shows_the_face(detector):
    tracker, found = follow(detector, frames([scene(240, 320, (60, 30, 150))]))
    assert people_of(found) == [(1,)]  # one frame is enough for a certain face
    thumbnail = tracker.thumbnail(1)
    assert thumbnail.shape == (96, 96, 3)
    assert thumbnail.dtype == np.uint8
    (face,) = detector.detect([thumbnail])
    assert len(face) == 1
    with pytest.raises(KeyError, match="no person 2"):
        tracker.thumbnail(2)


class Unsure(FaceDetector):
    """Is sure of no face."""

    def detect(self, images, *, smallest_px=0.0):
        found = super().detect(images, smallest_px=smallest_px)
        for faces in found:
            faces.probabilities[:] = 0.8
        return found

    def confirm(self, images, boxes):
        found, probabilities = super().confirm(images, boxes)
        return found, probabilities * 0


def test_what_is_seen_once_and_unsurely_is_nobody():
    face, empty = scene(240, 320, (60, 30, 150)), scene(240, 320)
    tracker, found = follow(Unsure(FaceSettings()), frames([empty, empty, face, empty, empty] * 3, 3.0))
    assert tracker.people == 0
    assert set(people_of(found)) == {()}
    _, found = follow(Unsure(FaceSettings()), frames([empty, face, face, empty]))
    assert people_of(found) == [(), (1,), (1,), ()]


def test_memory_is_a_window(detector):
    tracker, image = PeopleTracker(detector), scene(160, 200, (40, 10, 110))
    served = 0
    for taken, frame in enumerate(frames([image] * 40), start=1):
        served += len(tracker.add(frame))
        assert taken - served <= 8
    assert served + len(tracker.finish()) == 40


@pytest.mark.parametrize("mode", ["fast", "reference"])
def test_nothing_gives_nobody(mode):
    tracker, found = follow(FaceDetector(FaceSettings(mode=mode)), [])
    assert (found, tracker.people) == ([], 0)
    _, found = follow(FaceDetector(FaceSettings(mode=mode)), frames([np.zeros((1, 1, 3), np.uint8)] * 3))
    assert people_of(found) == [()] * 3


def test_looks_differ_between_people_more_than_within(actors, detector):
    looks = []
    for image in actors:
        for shown in (image, np.ascontiguousarray(np.clip(image.astype(np.int16) + 6, 0, 255).astype(np.uint8))):
            found = detector.detect([shown])[0]
            x1, y1, x2, y2 = map(float, found.boxes[0])
            crop = shown[int(y1) : int(y1) + 48, int(x1) : int(x1) + 48]
            looks.append(describe(shown, (x1, y1, x2, y2), crop))
    assert looks[0].shape == (VALUES,)
    between = np.stack([distances(one, np.stack(looks)) for one in looks])
    assert np.abs(np.diag(between)).max() < 1e-4
    assert between[0, 1] < 0.5 * between[0, 2:].min()


def test_a_face_at_the_edge_has_no_body():
    image = scene(160, 200)
    looks = describe(image, (150.0, 120.0, 250.0, 220.0), image[:48, :48])
    assert np.isfinite(looks).all()
    assert not looks[-108:].any()


def test_a_cut_is_a_change_of_the_whole():
    one, moved, other = (scene(240, 320, (x, 30, 150), seed=seed) for x, seed in ((60, 0), (80, 0), (60, 5)))
    one_s, moved_s, other_s = map(shot_signature, (one, moved, other))
    assert shot_change(one_s, moved_s) < CUT
    assert shot_change(one_s, other_s) > 0.1
    assert shot_change(one_s, shot_signature(np.full_like(one, 255))) > CUT
    assert shot_signature(np.zeros((1, 1, 3), np.uint8)).shape == one_s.shape


@pytest.mark.parametrize(
    ("name", "people"),
    [("single_face.mp4", {1}), ("WolfgangLanger_Pexels.mp4", {1}), ("face_noface.mov", {1}), ("no_face.mp4", set())],
)
def test_one_real_person_stays_one(shared, detector, name, people):
    _, found = follow(detector, sample_frames(shared(f"media/{name}"), 500))
    assert {person for shown in people_of(found) for person in shown} == people
    if people and name != "face_noface.mov":
        assert people_of(found) == [(1,)] * len(found)


def test_two_real_people_with_cuts(shared, detector):
    clips = [
        list(sample_frames(shared(f"media/{name}"), 500)) for name in ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
    ]
    images = [clips[who][at % len(clips[who])].image for who, at in ((i // 6 % 2, i) for i in range(48))]
    tracker, found = follow(detector, frames(images))
    assert tracker.people == 2
    assert np.mean([shown == (i // 6 % 2 + 1,) for i, shown in enumerate(people_of(found))]) >= 0.95

import numpy as np
import pytest
from portrait import scene

from mme2e.config import FaceSettings
from mme2e.faces.detector import FaceDetector
from mme2e.faces.face_crop import FaceFlag
from mme2e.faces.tracker import FaceTracker
from mme2e.media.region import Region
from mme2e.media.video import Frame, sample_frames


class CountingDetector(FaceDetector):
    """Counts the images that are searched in full and those that are only confirmed."""

    def __init__(self, settings):
        super().__init__(settings)
        self.searched = self.confirmed = 0

    def detect(self, images, *, smallest_px=0.0):
        self.searched += len(images)
        return super().detect(images, smallest_px=smallest_px)

    def confirm(self, images, boxes):
        self.confirmed += len(images)
        return super().confirm(images, boxes)


@pytest.fixture
def detector():
    return CountingDetector(FaceSettings())


def frames(images):
    return [Frame(time_s=i / 25, requested_s=i / 25, image=image) for i, image in enumerate(images)]


def flags(crops):
    return [crop.flag for crop in crops]


def test_a_moving_face_is_followed_cheaply(detector):
    images = [scene(240, 320, (60 + 2 * i, 30, 150)) for i in range(25)]
    crops = list(FaceTracker(detector).crops(frames(images)))
    assert len(crops) == 25
    assert all(crop.flag.has_face for crop in crops)
    assert flags(crops).count(FaceFlag.TRACKED) >= 18
    assert detector.searched <= 7
    centres = np.array([(crop.box[0] + crop.box[2]) / 2 for crop in crops])
    assert np.abs(centres - centres[0] - 2 * np.arange(25)).max() < 8
    assert all(crop.crop.shape == (48, 48, 3) and crop.crop.dtype == np.uint8 for crop in crops)
    assert [crop.time_s for crop in crops] == [i / 25 for i in range(25)]
    assert all(0.7 < crop.probability <= 1 for crop in crops)


def test_reference_mode_searches_every_frame():
    detector = CountingDetector(FaceSettings(mode="reference"))
    crops = list(FaceTracker(detector).crops(frames([scene(160, 200, (40, 10, 110))] * 3)))
    assert flags(crops) == [FaceFlag.DETECTED] * 3
    assert (detector.searched, detector.confirmed) == (3, 0)


def test_a_face_that_goes_is_noticed_and_found_again(detector):
    face, empty = scene(240, 320, (60, 30, 150)), scene(240, 320)
    crops = list(FaceTracker(detector).crops(frames([face] * 11 + [empty] * 10 + [face] * 6)))
    seen = [crop.flag.has_face for crop in crops]
    assert seen == [True] * 11 + [False] * 10 + [True] * 6
    held = crops[11:21]
    assert set(flags(held)) == {FaceFlag.HELD}
    assert {crop.box for crop in held} == {crops[10].box}
    assert all(crop.probability is None for crop in held)


def test_before_any_face_the_middle_is_shown(detector):
    crops = list(FaceTracker(detector).crops(frames([scene(240, 320)] * 3 + [scene(240, 320, (60, 30, 150))])))
    assert flags(crops) == [FaceFlag.CENTRE] * 3 + [FaceFlag.DETECTED]
    assert crops[0].box == (40.0, 0.0, 280.0, 240.0)


def test_a_cut_to_another_place_loses_no_frame(detector):
    left, right = scene(240, 480, (10, 30, 150)), scene(240, 480, (300, 40, 140), seed=1)
    crops = list(FaceTracker(detector).crops(frames([left] * 13 + [right] * 12)))
    assert all(crop.flag.has_face for crop in crops)
    assert [crop.box[0] > 240 for crop in crops] == [False] * 13 + [True] * 12


def test_the_larger_of_two_is_followed_without_flicker(detector):
    one = [scene(240, 480, (10, 30, 150 + i % 2), (280, 30, 151 - i % 2)) for i in range(17)]
    crops = list(FaceTracker(detector).crops(frames(one)))
    assert len({crop.box[0] > 240 for crop in crops}) == 1
    grown = [scene(240, 480, (10, 30, 100), (280, 30, 180))] * 9
    crops = list(FaceTracker(detector).crops(frames(one + grown)))
    assert crops[-1].box[0] > 240


def test_frames_are_taken_as_they_come(detector):
    taken = []

    def source():
        for frame in frames([scene(160, 200, (40, 10, 110))] * 40):
            taken.append(frame)
            yield frame

    crops = FaceTracker(detector).crops(source())
    for served in range(1, 20):
        next(crops)
        assert len(taken) - served <= 8


def test_each_region_has_its_own_face(detector):
    left, right = (Region(x_px=x, y_px=0, width_px=200, height_px=160) for x in (0, 200))
    faces = {left: (40, 10, 110), right: (80, 10, 90)}
    mixed = [
        Frame(time_s=i / 2, requested_s=i / 2, image=scene(160, 200, faces[region]), region=region)
        for i, region in enumerate([left] * 3 + [right] * 12 + [left] * 9 + [right])
    ]
    crops = list(FaceTracker(detector).crops(mixed))
    assert len(crops) == len(mixed)
    for region in faces:
        alone = [frame for frame in mixed if frame.region == region]
        wanted = list(FaceTracker(detector).crops(alone))
        found = [crop for crop in crops if crop.region == region]
        assert [(c.time_s, c.box, c.flag) for c in found] == [(c.time_s, c.box, c.flag) for c in wanted]
        assert all(crop.flag.has_face for crop in found)


def test_a_face_that_becomes_much_smaller_is_still_found(detector):
    images = [scene(360, 480, (60, 30, 300))] * 9 + [scene(360, 480, (100, 60, 110))] * 16
    crops = list(FaceTracker(detector).crops(frames(images)))
    assert all(crop.flag.has_face for crop in crops)
    assert crops[-1].box[2] - crops[-1].box[0] < 60 < crops[0].box[2] - crops[0].box[0]


def test_nothing_gives_nothing_and_each_call_starts_afresh(detector):
    tracker = FaceTracker(detector)
    assert list(tracker.crops([])) == []
    assert flags(tracker.crops(frames([scene(160, 200, (40, 10, 110))]))) == [FaceFlag.DETECTED]
    assert flags(tracker.crops(frames([scene(160, 200)]))) == [FaceFlag.CENTRE]


def test_frames_of_other_sizes_and_of_one_pixel(detector):
    images = [scene(240, 320, (60, 30, 150)), scene(480, 640, (120, 60, 300)), np.zeros((1, 1, 3), np.uint8)]
    crops = list(FaceTracker(detector).crops(frames(images * 3)))
    assert [crop.flag.has_face for crop in crops] == [True, True, False] * 3
    assert all(crop.crop.shape == (48, 48, 3) for crop in crops)


def test_no_face_is_seen_where_there_is_none(shared, detector):
    crops = list(FaceTracker(detector).crops(sample_frames(shared("media/no_face.mp4"), 250)))
    assert len(crops) > 10
    assert set(flags(crops)) == {FaceFlag.CENTRE}


def test_a_real_face_disappears(shared, detector):
    crops = list(FaceTracker(detector).crops(sample_frames(shared("media/face_noface.mov"), 250)))
    seen = [crop.flag.has_face for crop in crops]
    assert seen == sorted(seen, reverse=True)
    assert 9 <= sum(seen) <= 14

import io

import numpy as np
import pytest
from PIL import Image

from mme2e.errors import MediaError
from mme2e.faces.face_crop import FaceFlag
from mme2e.hand_crafted.face_shape import COLUMNS, GEOMETRY, FaceShape, geometry
from mme2e.hand_crafted.gradients import CELLS, ORIENTATIONS, oriented_gradients

UPRIGHT = np.array([[[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.4, 0.8], [0.6, 0.8]]], dtype=np.float32)


def picture(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def shape_of(landmarks):
    return dict(zip(GEOMETRY, geometry(landmarks)[0].tolist(), strict=True))


def test_geometry_of_an_upright_face():
    wanted = {"eye_distance": 0.4, "roll": 0, "mouth_width": 0.5, "face_height": 1, "nose_height": 0.5, "nose_side": 0}
    assert shape_of(UPRIGHT) == pytest.approx(wanted, abs=1e-6)


def test_geometry_follows_roll_and_turns():
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=np.float32)
    rolled = shape_of(UPRIGHT @ turn.T)
    assert rolled["roll"] == pytest.approx(angle, abs=1e-5)
    assert {**rolled, "roll": 0} == pytest.approx(shape_of(UPRIGHT), abs=1e-5)
    aside = UPRIGHT.copy()
    aside[:, 2, 0] += 0.1
    assert abs(shape_of(aside)["nose_side"]) == pytest.approx(0.25, abs=1e-5)


def test_geometry_of_coinciding_points_is_finite():
    assert np.isfinite(geometry(np.full((1, 5, 2), 0.5, dtype=np.float32))).all()


def test_gradients_tell_directions_and_places():
    crops = np.zeros((3, 48, 48, 3), dtype=np.uint8)
    crops[0, :, 30:] = 200  # an upright edge: its gradient goes to the right
    crops[1, 30:] = 200
    histograms = oriented_gradients(crops).reshape(3, CELLS, CELLS, ORIENTATIONS)
    assert histograms[0, :, 2, 0] == pytest.approx(np.full(4, 0.5), abs=1e-5)
    assert histograms[1, 2, :, ORIENTATIONS // 2] == pytest.approx(np.full(4, 0.5), abs=1e-5)
    assert (histograms[2] == 0).all()


def test_gradients_do_not_depend_on_light_and_contrast():
    crops = np.random.default_rng(0).integers(0, 100, (2, 48, 48, 3), dtype=np.uint8)
    np.testing.assert_allclose(oriented_gradients(crops * 2 + 20), oriented_gradients(crops), atol=1e-4)


def test_an_angle_between_two_directions_is_shared():
    rows, columns = np.mgrid[0:48, 0:48]
    angle = np.pi / ORIENTATIONS / 2
    ramp = np.tile(((np.cos(angle) * columns + np.sin(angle) * rows) * 3)[..., None], 3)[None].astype(np.float32)
    cell = oriented_gradients(ramp)[0, :ORIENTATIONS]
    assert cell[0] == pytest.approx(cell[1], rel=1e-3)
    assert cell[2:].max() < 1e-4


@pytest.mark.parametrize("frames", [1, 3])
def test_an_utterance_has_a_row_for_each_frame(frames):
    pixels = np.random.default_rng(0).integers(0, 255, (frames, 48, 48, 3), dtype=np.uint8)
    flags = [FaceFlag.DETECTED, *[FaceFlag.HELD] * (frames - 1)]
    matrix = FaceShape().extract({"face_crops": [picture(each) for each in pixels], "face_flags": flags})
    assert matrix.shape == (frames, len(COLUMNS)) == (frames, 145)
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("flags", [[], [FaceFlag.CENTRE, FaceFlag.HELD]])
def test_no_face_is_no_picture(flags):
    assert FaceShape().extract({"face_crops": [b"never read"] * len(flags), "face_flags": flags}) is None


def test_a_damaged_crop():
    with pytest.raises(MediaError, match="is not an image"):
        FaceShape().extract({"face_crops": [b"nothing"], "face_flags": [FaceFlag.DETECTED]})
    whole = picture(np.zeros((48, 48, 3), dtype=np.uint8))
    with pytest.raises(MediaError, match="is not an image"):
        FaceShape().extract({"face_crops": [whole[:60]], "face_flags": [FaceFlag.DETECTED]})

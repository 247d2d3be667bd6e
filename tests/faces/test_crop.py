import numpy as np
import pytest
from portrait import portrait

from mme2e.faces.crop import centre_box, crop_face, whole_crop


def test_whole_multiples_are_plain_means():
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    crop = crop_face(image, (100.0, 50.0, 196.0, 194.0), margin=0)
    wanted = image[50:194, 100:196].reshape(48, 3, 48, 2, 3).mean((1, 3))
    assert crop.shape == (48, 48, 3)
    assert crop.dtype == np.uint8
    assert np.abs(crop - wanted).max() <= 0.51


def test_margin_grows_the_box():
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[50:142, 50:142] = 255  # 92 px: a margin of 2 adds 2 px at each edge
    crop = crop_face(image, (50.0, 50.0, 142.0, 142.0), margin=2)
    assert crop[1:-1, 1:-1].min() == 255
    assert crop[0].max() == 0
    assert crop_face(image, (50.0, 50.0, 142.0, 142.0), margin=0).min() == 255


@pytest.mark.parametrize(
    "box", [(-50.0, -50.0, 90.0, 90.0), (490.0, 580.0, 700.0, 700.0), (600.0, 700.0, 650.0, 750.0)]
)
def test_boxes_over_the_edge_and_outside_are_clipped(box):
    assert crop_face(portrait(), box).shape == (48, 48, 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (5, 2, 3), (48, 48, 3)])
def test_tiny_images_are_enlarged(shape):
    image = np.full(shape, 77, dtype=np.uint8)
    crop = crop_face(image, centre_box(image))
    assert crop.shape == (48, 48, 3)
    assert (crop == 77).all()


def test_centre_box_is_the_largest_square():
    assert centre_box(np.zeros((100, 300, 3), dtype=np.uint8)) == (100.0, 0.0, 200.0, 100.0)


class TestWholeCrop:
    """Images that are face crops already."""

    def test_one_of_the_right_size_stays_as_it_is(self):
        image = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
        assert (whole_crop(image) == image).all()

    def test_whole_multiples_are_plain_means(self):
        image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
        wanted = image.reshape(48, 2, 48, 2, 3).mean((1, 3))
        assert np.abs(whole_crop(image) - wanted).max() <= 1

    def test_nothing_is_cut_off_and_the_border_is_repeated(self):
        image = np.zeros((96, 48, 3), dtype=np.uint8)
        image[:, :2], image[:, -2:] = 10, 200  # one column of the crop each
        image[:4], image[-4:] = 90, 120
        crop = whole_crop(image)
        assert crop.shape == (48, 48, 3)
        assert crop.dtype == np.uint8
        assert (crop[2:-2, :13] == 10).all()
        assert (crop[2:-2, 13:-13] == 0).all()
        assert (crop[2:-2, -13:] == 200).all()
        assert (crop[:2] == 90).all()
        assert (crop[-2:] == 120).all()
        assert (whole_crop(image.transpose(1, 0, 2)) == crop.transpose(1, 0, 2)).all()

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (5, 2, 3), (100_000, 1, 3), (49, 48, 3)])
    def test_any_shape(self, shape):
        crop = whole_crop(np.full(shape, 77, dtype=np.uint8))
        assert crop.shape == (48, 48, 3)
        assert (crop == 77).all()

import numpy as np
import pytest
import torch

from mme2e.inference.overlays import band_of_frequency, beside, darken, decibels, face_images, mel_image
from mme2e.media.mel import NUM_MELS, mel_spectrogram


def test_dropped_sites_are_darker_and_kept_ones_as_they_were() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0.05, 1, (12, 8, 3)).astype(np.float32)
    kept = rng.random((3, 4)) < 0.5
    result = darken(image, kept)
    for (row, column), is_kept in np.ndenumerate(kept):
        here = np.s_[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
        if is_kept:
            np.testing.assert_array_equal(result[here], image[here])
        else:
            assert (result[here].max(axis=-1) < 0.5 * image[here].max(axis=-1)).all()
            assert np.ptp(result[here], axis=-1).max() < 1e-6  # grey


def test_every_sound_that_is_kept_is_brighter_than_every_one_that_was_dropped() -> None:
    levels = np.linspace(-60, 0, 128, dtype=np.float32)[:, None].repeat(2, axis=1)
    image = darken(mel_image(levels), np.array([[True, False]]))
    assert image[:, 0].max(axis=-1).min() > image[:, 1].max(axis=-1).max()


def test_sites_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="5 x 4 sites do not fit an image of 12 x 8"):
        darken(np.zeros((12, 8, 3), np.float32), np.ones((5, 4), bool))


def test_crops_stay_upright_and_keep_their_colours() -> None:
    crops = np.zeros((1, 3, 48, 48), dtype=np.uint8)
    crops[0, 0, :24, :12] = 255  # red at the top left
    (image,) = face_images(crops)
    assert image.shape == (192, 192, 3)
    np.testing.assert_allclose(image[20, 20], (1, 0, 0), atol=0.01)
    for elsewhere in (image[20, 150], image[150, 20], image[150, 150]):
        np.testing.assert_allclose(elsewhere, 0, atol=0.01)
    assert face_images(crops[:0]) == []


def test_chunks_stand_side_by_side_in_decibels() -> None:
    chunks = np.zeros((3, 1, 128, 32), dtype=np.float32)
    chunks[0, 0, 5, 0], chunks[2, 0, 7, 31] = 8.0, 0.8
    levels = decibels(chunks)
    assert levels.shape == (128, 96)
    assert levels[5, 0] == 0
    assert levels[7, 95] == pytest.approx(-10, abs=1e-4)
    assert levels[100, 40] == -60
    assert (decibels(chunks * 0) == -60).all()


def test_maps_beside_each_other() -> None:
    maps = np.arange(12).reshape(2, 3, 2)
    np.testing.assert_array_equal(beside(maps), np.concatenate([maps[0], maps[1]], axis=1))


@pytest.mark.parametrize("frequency_hz", [500, 1000, 4000])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(frequency_hz: int) -> None:
    tone = torch.sin(2 * torch.pi * frequency_hz * torch.arange(16000) / 16000)
    loudest = int(mel_spectrogram(tone).mean(dim=1).argmax())
    assert abs(loudest - band_of_frequency(frequency_hz)) <= 1
    assert band_of_frequency(8000) == pytest.approx(NUM_MELS)

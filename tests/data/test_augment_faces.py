import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mme2e.config import AugmentSettings, FaceAugmentSettings
from mme2e.data.augment_faces import augment_crops

EACH = {
    "rotation_deg": 20.0,
    "scale": 0.2,
    "contrast": 0.4,
    "gamma": 0.5,
    "grey": 1.0,
    "occlusion": 1.0,
    "blur": 1.0,
    "low_resolution": 1.0,
    "jpeg": 1.0,
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def crops(rng):
    return rng.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def smooth():
    """A crop without borders or noise: a coloured hill on a slope."""
    down, right = np.mgrid[:48, :48] / 47
    hill = np.exp(-((down - 0.4) ** 2 + (right - 0.6) ** 2) / 0.05)
    return np.stack([40 + 150 * hill, 60 + 100 * right, 200 - 120 * down], axis=-1)[None].round().astype(np.uint8)


def changed(crops, seed=0, **values):
    return augment_crops(crops, AugmentSettings(faces=FaceAugmentSettings(**values)), np.random.default_rng(seed))


def test_off_changes_nothing_and_draws_nothing(crops, rng):
    before = rng.bit_generator.state
    assert np.array_equal(augment_crops(crops, AugmentSettings(), rng), crops)
    assert rng.bit_generator.state == before


def test_a_shift_is_the_same_for_all_frames_and_within_bounds(crops):
    seen = set()
    for seed in range(40):
        moved = augment_crops(crops, AugmentSettings(crop_jitter_px=2), np.random.default_rng(seed))
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(moved[:, 2:-2, 2:-2], crops[:, 2 + down : 46 + down, 2 + right : 46 + right])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 10


def test_a_shift_repeats_the_border(crops):
    down, right = np.random.default_rng(0).integers(-9, 9, size=2, endpoint=True)
    rows, columns = (np.clip(np.arange(48) + shift, 0, 47) for shift in (down, right))
    moved = augment_crops(crops, AugmentSettings(crop_jitter_px=9), np.random.default_rng(0))
    assert np.array_equal(moved, crops[:, rows][:, :, columns])


def test_a_flip_mirrors_left_and_right(crops, rng):
    assert np.array_equal(augment_crops(crops, AugmentSettings(flip=1.0), rng), crops[:, :, ::-1])


def test_brightness_scales_all_frames_alike_and_saturates():
    crops = np.full((2, 48, 48, 3), 100, dtype=np.uint8)
    crops[:, 0] = 250
    values = []
    for seed in range(30):
        bright = augment_crops(crops, AugmentSettings(brightness=0.2), np.random.default_rng(seed))
        assert bright.dtype == np.uint8
        assert len(np.unique(bright[:, 1:])) == 1
        assert abs(int(bright[1, 0, 5, 2]) - min(255, 2.5 * bright[1, 1, 5, 2])) <= 1.5
        values.append(int(bright[0, 1, 0, 0]))
    assert 80 <= min(values) < 95
    assert 105 < max(values) <= 120


def test_what_was_there_before_gives_the_bits_it_gave(crops):
    rng = np.random.default_rng(5)
    down, right = rng.integers(-3, 3, size=2, endpoint=True)
    rows, columns = (np.clip(np.arange(48) + shift, 0, 47) for shift in (down, right))
    expected = crops[:, rows][:, :, columns]
    if rng.random() < 0.5:
        expected = expected[:, :, ::-1]
    factor = 1 + rng.uniform(-0.2, 0.2)
    expected = np.clip(np.rint(expected * factor), 0, 255).astype(np.uint8)
    settings = AugmentSettings(crop_jitter_px=3, flip=0.5, brightness=0.2)
    assert np.array_equal(augment_crops(crops, settings, np.random.default_rng(5)), expected)


@pytest.mark.parametrize("name", EACH)
def test_each_is_decided_by_the_generator_alone_and_changes_all_frames_alike(name, crops):
    crops = np.repeat(crops[:1], 3, axis=0)
    settings = AugmentSettings(crop_jitter_px=2, faces=FaceAugmentSettings(**{name: EACH[name]}))
    first, again, other = (augment_crops(crops, settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8
    assert first.shape == (3, 48, 48, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first[0], first[2])
    assert not np.array_equal(first, crops)


@pytest.mark.parametrize("size", [(0, 48, 48), (1, 1, 1), (2, 5, 3), (1, 47, 49), (1, 2, 48)])
@pytest.mark.parametrize("name", [*EACH, "all"])
def test_odd_empty_and_single_element_sizes(name, size, rng):
    crops = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    values = EACH if name == "all" else {name: EACH[name]}
    settings = AugmentSettings(crop_jitter_px=3, flip=0.5, brightness=0.5, faces=FaceAugmentSettings(**values))
    for seed in range(5):
        after = augment_crops(crops, settings, np.random.default_rng(seed))
        assert after.shape == crops.shape
        assert after.dtype == np.uint8
        assert after.flags.c_contiguous


def test_a_rotation_turns_about_the_middle(smooth):
    angles = []
    for seed in range(20):
        turned = changed(smooth, seed, rotation_deg=30.0)
        draw = np.random.default_rng(seed).uniform(-np.deg2rad(30), np.deg2rad(30))
        assert abs(turned[0, 23:25, 23:25].mean(axis=(0, 1)) - smooth[0, 23:25, 23:25].mean(axis=(0, 1))).max() < 2
        angles.append(hill_angle(turned) - hill_angle(smooth))
        assert angles[-1] == pytest.approx(np.rad2deg(draw), abs=3)
    assert min(angles) < -20
    assert max(angles) > 20


def hill_angle(crops):
    """Direction of the hill from the middle, in degrees clockwise."""
    red = np.clip(crops[0, :, :, 0].astype(float) - 60, 0, None)
    down, right = np.mgrid[:48, :48] - 23.5
    return np.rad2deg(np.arctan2((red * down).sum(), (red * right).sum()))


def test_a_scale_makes_the_face_as_large_as_drawn():
    square = np.zeros((1, 48, 48, 3), np.uint8)
    square[:, 14:34, 14:34] = 200
    sides = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rng.uniform()  # the angle
        factor = 1 + rng.uniform(-0.3, 0.3)
        sides.append(np.sqrt(changed(square, seed, scale=0.3)[0, :, :, 0].sum() / 200))
        assert sides[-1] == pytest.approx(20 * factor, rel=0.02)
    assert min(sides) < 16.5
    assert max(sides) > 24


def test_what_comes_into_sight_repeats_the_border():
    plain = np.full((1, 48, 48, 3), 180, np.uint8)
    settings = AugmentSettings(crop_jitter_px=20, faces=FaceAugmentSettings(rotation_deg=180, scale=0.5))
    for seed in range(20):
        assert (augment_crops(plain, settings, np.random.default_rng(seed)) == 180).all()


def test_warp_and_plain_shift_agree_without_rotation(smooth):
    tiny = AugmentSettings(crop_jitter_px=6, faces=FaceAugmentSettings(rotation_deg=1e-9))
    for seed in range(5):
        plain = augment_crops(smooth, AugmentSettings(crop_jitter_px=6), np.random.default_rng(seed))
        assert abs(augment_crops(smooth, tiny, np.random.default_rng(seed)).astype(int) - plain).max() <= 1


def test_contrast_is_about_the_mean():
    crops = np.full((2, 48, 48, 3), 80, np.uint8)
    crops[:, ::2] = 120
    spreads = []
    for seed in range(30):
        after = changed(crops, seed, contrast=0.5).astype(float)
        assert after.mean() == pytest.approx(100, abs=0.6)
        spreads.append((after[0, 0, 0, 0] - after[0, 1, 0, 0]) / 40)
    assert 0.5 <= min(spreads) < 0.65
    assert 1.35 < max(spreads) <= 1.5


def test_gamma_leaves_black_and_white_and_moves_what_is_between():
    ramp = np.tile(np.linspace(0, 255, 48).round().astype(np.uint8)[None, :, None, None], (1, 1, 48, 3))
    exponents = []
    for seed in range(30):
        after = changed(ramp, seed, gamma=1.0)[0, :, 0, 0]
        assert (after[0], after[-1]) == (0, 255)
        assert (np.diff(after.astype(int)) >= 0).all()
        exponents.append(np.log(after[24] / 255) / np.log(ramp[0, 24, 0, 0] / 255))
    assert 0.48 < min(exponents) < 0.65
    assert 1.6 < max(exponents) < 2.05


def test_grey_is_the_luma(smooth):
    after = changed(smooth, grey=1.0)
    assert np.array_equal(after, np.repeat(after[..., :1], 3, axis=-1))
    assert abs(after[0, :, :, 0].astype(int) - np.asarray(Image.fromarray(smooth[0]).convert("L"))).max() <= 1
    every_grey = np.tile(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), (1, 1, 1, 3))
    assert np.array_equal(changed(every_grey, grey=1.0), every_grey)


def test_probability_of_grey(smooth):
    lost = [(changed(smooth, seed, grey=0.3).std(axis=-1) == 0).all() for seed in range(500)]
    assert 0.25 < np.mean(lost) < 0.35


def test_an_occlusion_is_one_rectangle_of_one_grey():
    crops = np.full((2, 48, 48, 3), (10, 20, 30), np.uint8)
    heights, greys = [], []
    for seed in range(60):
        hidden = (changed(crops, seed, occlusion=1.0) != crops).any(axis=-1)
        after = changed(crops, seed, occlusion=1.0)
        rows, columns = hidden[0].any(axis=1), hidden[0].any(axis=0)
        assert np.array_equal(hidden, np.broadcast_to(rows[:, None] & columns, hidden.shape))
        assert (np.abs(np.diff(rows.astype(int))).sum(), np.abs(np.diff(columns.astype(int))).sum()) <= (2, 2)
        assert len(np.unique(after[hidden])) == 1
        heights.append(rows.sum())
        greys.append(after[hidden][0, 0])
    assert min(heights) == 4
    assert max(heights) == 16
    assert max(greys) > 200 > 50 > min(greys)


def test_a_blur_is_gaussian(crops):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.random()
        sigma = rng.uniform(0.3, 1.5)
        expected = np.asarray(Image.fromarray(crops[1]).filter(ImageFilter.GaussianBlur(sigma)))
        assert np.array_equal(changed(crops, seed, blur=1.0)[1], expected)


def test_low_resolution_loses_what_is_fine_and_keeps_the_mean(crops, smooth):
    for seed in range(5):
        after = changed(crops, seed, low_resolution=1.0)
        assert after.std() < 0.5 * crops.std()
        assert after.mean() == pytest.approx(crops.mean(), abs=3)
        assert abs(changed(smooth, seed, low_resolution=1.0).astype(int) - smooth)[:, 3:-3, 3:-3].max() < 12


def test_jpeg_has_the_quality_drawn(crops):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.random()
        quality = int(rng.integers(15, 60, endpoint=True))
        Image.fromarray(crops[2]).save(file := io.BytesIO(), "JPEG", quality=quality)
        assert np.array_equal(changed(crops, seed, jpeg=1.0)[2], np.asarray(Image.open(file)))


def test_grey_photographs_stay_grey_and_get_what_three_channels_would_get(smooth):
    """The one channel that grey crops are worked on with is a short cut only."""
    grey = np.repeat(smooth[..., :1], 3, axis=-1)
    tinged = grey.copy()
    tinged[0, 0, 0, 0] ^= 1  # not grey: all three channels
    for seed in range(10):
        values = {**EACH, "grey": 0.0}
        short, long = changed(grey, seed, **values), changed(tinged, seed, **values)
        assert (short.std(axis=-1) == 0).all()
        assert abs(short.astype(int) - long).max() <= 6
        assert abs(short.astype(int) - long).mean() < 0.2

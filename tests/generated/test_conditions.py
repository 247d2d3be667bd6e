"""What camera and microphone add to the generated people."""

import numpy as np
import pytest

from mme2e.generated.actor import HALF_SIZE_PX, Actor
from mme2e.generated.conditions import (
    DAYLIGHT,
    FRONTAL,
    HeadPose,
    Light,
    Room,
    random_head_pose,
    random_light,
    random_room,
)
from mme2e.generated.expressions import Expression
from mme2e.generated.utterances import Pose

RATE_HZ = 16000
SMILING = Pose("hap", 4, 1, False)


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor((0, 1), woman=True, size_px=HALF_SIZE_PX)


def differs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second.astype(int)).max(axis=2) > 8


def test_plain_light_and_a_frontal_head_change_nothing(actor: Actor):
    assert DAYLIGHT.table() == [*range(256)] * 3
    picture = actor.picture(Pose(None, 0, 0, False), FRONTAL, DAYLIGHT)
    assert not differs(picture, actor.picture(Pose(None, 0, 0, False), FRONTAL, Light(gamma=1.0001))).any()


def test_light_is_stronger_warmer_and_flatter():
    red, green, blue = np.array(Light(gains=(1.5, 1.0, 0.5), gamma=2.0).table()).reshape(3, 256)
    assert green[[0, 128, 255]].tolist() == [0, 64, 255]
    assert red[128] == 96
    assert red.max() == 255
    assert blue.max() == 128


def test_a_turned_head_moves_its_features_and_not_its_outline(actor: Actor):
    frontal = actor.picture(SMILING, FRONTAL, DAYLIGHT)
    turned = actor.picture(SMILING, HeadPose(turn_deg=15), DAYLIGHT)
    where = differs(frontal, turned)
    assert where.mean() > 0.02
    height = frontal.shape[0]
    assert not where[int(0.85 * height) :].any()  # the shoulders


@pytest.mark.parametrize("head", [HeadPose(tilt_deg=8), HeadPose(nod=1), HeadPose(nearness=0.9)])
def test_a_held_head_moves_as_a_whole(actor: Actor, head: HeadPose):
    assert differs(actor.picture(SMILING, FRONTAL, DAYLIGHT), actor.picture(SMILING, head, DAYLIGHT)).mean() > 0.02


def test_a_farther_person_leaves_no_gap_below(actor: Actor):
    farthest = HeadPose(nearness=0.9, nod=-1)
    near, far = (actor.picture(Pose(None, 0, 0, False), head, DAYLIGHT) for head in (FRONTAL, farthest))
    middle = near.shape[1] // 2
    assert not differs(near[-1:, middle - 9 : middle + 9], far[-1:, middle - 9 : middle + 9]).all()
    wall = near[2, 2].astype(int)
    assert np.abs(far[-1, middle - 9 : middle + 9].astype(int) - wall).max() > 20


def test_pictures_are_kept_while_head_and_light_stay(actor: Actor):
    first = actor.picture(SMILING, FRONTAL, DAYLIGHT)
    assert actor.picture(SMILING, FRONTAL, DAYLIGHT) is first
    actor.picture(SMILING, HeadPose(nod=1), DAYLIGHT)
    assert actor.picture(SMILING, FRONTAL, DAYLIGHT) is not first


def test_draws_are_bounded_and_centred():
    generator = np.random.default_rng(0)
    heads = [random_head_pose(generator) for _ in range(400)]
    assert max(abs(head.turn_deg) for head in heads) <= 20
    assert max(abs(head.tilt_deg) for head in heads) <= 10
    assert np.mean([head.turn_deg for head in heads]) == pytest.approx(0, abs=1.5)
    assert np.mean([head.nearness for head in heads]) == pytest.approx(1, abs=0.01)
    lights = [random_light(generator) for _ in range(400)]
    assert np.mean([light.gains[1] for light in lights]) == pytest.approx(1, abs=0.05)
    assert all(0.7 < gain < 1.5 for light in lights for gain in light.gains)


@pytest.mark.parametrize("samples", [16000, 15999])
def test_noise_has_its_level_and_microphones_their_gains(samples: int):
    white = np.random.default_rng(0).standard_normal((samples, 2))
    room = Room(noise_db=-20, noise_slope=1.0, gains_db=(0.0, 6.0))
    sound = room.record(np.zeros_like(white), white, sample_rate_hz=RATE_HZ)
    assert sound.shape == white.shape
    rms = np.sqrt((sound**2).mean(axis=0))
    assert 20 * np.log10(rms[1] / rms[0]) == pytest.approx(6, abs=0.5)
    assert 20 * np.log10(rms[0] / 0.04) == pytest.approx(-20, abs=0.5)
    power = np.abs(np.fft.rfft(sound[:, 0])) ** 2
    assert power[200:400].sum() > 5 * power[4000:].sum() / 20  # more below than above


def test_loud_sound_is_clipped():
    room = Room(noise_db=-60, noise_slope=1.0, gains_db=(12.0,))
    sound = room.record(np.ones((1000, 1)), np.ones((1000, 1)) + np.arange(1000)[:, None] % 2, sample_rate_hz=RATE_HZ)
    assert np.abs(sound).max() <= 0.99


def test_rooms_have_as_many_gains_as_microphones():
    room = random_room(np.random.default_rng(0), microphones=2)
    assert len(room.gains_db) == 2
    assert -30 <= room.noise_db <= -15
    assert all(abs(gain) <= 4 for gain in room.gains_db)


@pytest.mark.parametrize(("name", "rows"), [("forehead", (0.36, 0.44)), ("cheeks", (0.48, 0.6))])
def test_blood_colours_a_region(actor: Actor, name: str, rows: tuple[float, float]):
    plain, red = (actor._face.render(Expression(**{name: amount})).astype(int) for amount in (0.0, 1.5))
    redder = (red[..., 0] - red[..., 1]) - (plain[..., 0] - plain[..., 1])
    profile = redder.clip(0).sum(axis=1)
    middle = (profile * np.arange(len(profile))).sum() / profile.sum() / len(profile)
    assert rows[0] < middle < rows[1]

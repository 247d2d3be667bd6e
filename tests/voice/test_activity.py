import numpy as np
import pytest
from signals import vowels

from mme2e.voice.activity import VoiceActivity
from mme2e.voice.network import SileroVAD


@pytest.fixture(scope="module")
def network():
    return SileroVAD()


def answers(network, samples, lengths=()):
    activity, parts = VoiceActivity(network), []
    for length in lengths:
        parts.append(activity.add(samples[:length]))
        samples = samples[length:]
    return np.concatenate([*parts, activity.add(samples), activity.finish()])


@pytest.mark.parametrize("seed", range(5))
def test_the_same_answers_for_pieces_of_any_length(network, seed):
    rng = np.random.default_rng(seed)
    samples = vowels(4.0)[: -int(rng.integers(1, 2000))]
    lengths = rng.choice([0, 1, 63, 64, 511, 512, 513, 4096, 16_384, 16_448, 20_000], size=20)
    np.testing.assert_array_equal(answers(network, samples, lengths), answers(network, samples))


@pytest.mark.parametrize("length", [0, 1, 160, 511, 512, 513, 16_384, 16_385])
def test_one_answer_a_window(network, length):
    found = answers(network, vowels(2.0)[:length])
    assert found.shape == (-(-length // 512),)
    assert found.dtype == np.float32


@pytest.mark.parametrize("value", [0, 32767, -32768])
def test_extreme_sound_gives_numbers(network, value):
    found = answers(network, np.full(20_000, value, dtype=np.int16))
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_full_scale_noise_is_no_speech(network):
    samples = np.random.default_rng(0).choice([-32768, 32767], 48_000).astype(np.int16)
    assert answers(network, samples)[10:].max() < 0.5


def test_silence_is_no_speech(network):
    assert answers(network, np.zeros(32_000, dtype=np.int16)).max() < 0.2


def test_answers_come_a_block_later(network):
    activity = VoiceActivity(network)
    assert len(activity.add(np.zeros(16_383, dtype=np.int16))) == 0
    assert len(activity.add(np.zeros(1, dtype=np.int16))) == 32


def test_what_cannot_be_taken(network):
    activity = VoiceActivity(network)
    with pytest.raises(ValueError, match=r"\(samples,\) int16, not \(3,\) float64"):
        activity.add(np.zeros(3))
    with pytest.raises(ValueError, match=r"not \(1, 3\) int16"):
        activity.add(np.zeros((1, 3), dtype=np.int16))
    activity.finish()
    assert len(activity.finish()) == 0
    with pytest.raises(ValueError, match="after the recording was finished"):
        activity.add(np.zeros(3, dtype=np.int16))

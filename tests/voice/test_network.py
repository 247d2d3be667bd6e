"""Our network against Silero's own jit model of version 6.2.3."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from signals import vowels

from mme2e.voice.activity import VoiceActivity
from mme2e.voice.network import CONTEXT_SAMPLES, WINDOW_S, WINDOW_SAMPLES, SileroVAD
from mme2e.voice.segmenter import WINDOW_S as SEGMENTER_WINDOW_S

GOLDEN = [  # every third window of vowels(3.0), from silero_vad.jit called once a window
    *(0.04465, 0.35213, 0.64309, 0.30685, 0.34603, 0.09014, 0.03881, 0.15858, 0.78069, 0.34891, 0.2632, 0.06413),
    *(0.04826, 0.05163, 0.05131, 0.04752, 0.03993, 0.24242, 0.04103, 0.2371, 0.35499, 0.18242, 0.13286, 0.32691),
    *(0.17945, 0.17045, 0.07727, 0.03005, 0.00944, 0.00652, 0.00622, 0.00596),
]


def windows_of(samples):
    padded = np.zeros(CONTEXT_SAMPLES + -(-len(samples) // WINDOW_SAMPLES) * WINDOW_SAMPLES, dtype=np.float32)
    padded[CONTEXT_SAMPLES : CONTEXT_SAMPLES + len(samples)] = samples / 32768
    return torch.from_numpy(padded).unfold(0, CONTEXT_SAMPLES + WINDOW_SAMPLES, WINDOW_SAMPLES)


@pytest.fixture(scope="module")
def network():
    return SileroVAD()


def test_the_answers_are_those_of_the_original(network):
    with torch.inference_mode():
        probabilities, _ = network(windows_of(vowels()))
    np.testing.assert_allclose(probabilities.numpy()[::3], GOLDEN, atol=1e-4)


def test_the_answers_are_those_of_the_installed_package(network):
    package = importlib.util.find_spec("silero_vad")
    if package is None:
        pytest.skip("the package silero-vad is not installed")
    file = Path(package.submodule_search_locations[0]) / "data" / "silero_vad.jit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        original = torch.jit.load(str(file))
    windows = windows_of(np.concatenate([vowels(2.0), np.random.default_rng(0).integers(-9000, 9000, 20000)]))
    with torch.inference_mode():
        probabilities, _ = network(windows)
        expected = [original(window[None, CONTEXT_SAMPLES:], 16_000).item() for window in windows]
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=1e-4)


def test_the_state_carries_over_between_blocks(network):
    windows = windows_of(vowels())
    with torch.inference_mode():
        whole, _ = network(windows)
        state, parts = None, []
        for block in windows.split(7):
            part, state = network(block, state)
            parts.append(part)
    np.testing.assert_allclose(torch.cat(parts).numpy(), whole.numpy(), atol=1e-6)


def test_both_halves_of_the_room_mean_the_same_window():
    assert WINDOW_S == SEGMENTER_WINDOW_S


def test_recordings_may_share_a_network(network):
    alone = VoiceActivity(network)
    expected = np.concatenate([alone.add(vowels()), alone.finish()])
    first, second = VoiceActivity(network), VoiceActivity(network)
    first_parts = [first.add(vowels()[:30_000])]
    other = [second.add(np.zeros(40_000, dtype=np.int16)), second.finish()]
    first_parts += [first.add(vowels()[30_000:]), first.finish()]
    np.testing.assert_array_equal(np.concatenate(first_parts), expected)
    assert len(np.concatenate(other)) == -(-40_000 // 512)

import itertools
import math

import numpy as np
import pytest

from mme2e.errors import UserError
from mme2e.voice.segmenter import WINDOW_S, SpeechSegmenter, Stretch


def probabilities(*parts):
    """(probability, seconds) each -> one a window."""
    return [value for value, seconds in parts for _ in range(round(seconds / WINDOW_S))]


def stretches(values, shortest_s=1.0, longest_s=10.0, end_s=None, **settings):
    segmenter = SpeechSegmenter(shortest_s, longest_s, **settings)
    return segmenter.add(values) + segmenter.finish(len(values) * WINDOW_S if end_s is None else end_s)


def shown(found):
    return [(round(each.start_s, 1), round(each.end_s, 1), each.speech) for each in found]


def random_course(rng):
    """Speech and pauses of many lengths, with noise."""
    parts = [(rng.choice([0.02, 0.3, 0.45, 0.6, 0.95]), rng.exponential(rng.choice([0.1, 1, 6]))) for _ in range(40)]
    return np.clip(np.array(probabilities(*parts)) + rng.normal(0, 0.1, len(probabilities(*parts))), 0, 1)


SETTINGS = [(1.0, 10.0), (0.5, 3.0), (2.0, 2.0), (0.3, 0.5), (3.0, 5.0), (10.0, 10.0)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("shortest_s", "longest_s"), SETTINGS)
def test_what_holds_for_any_course(seed, shortest_s, longest_s):
    rng = np.random.default_rng(seed)
    values = random_course(rng)
    end_s = len(values) * WINDOW_S - rng.uniform(0, WINDOW_S)
    segmenter, found, position = SpeechSegmenter(shortest_s, longest_s), [], 0
    while position < len(values):
        count = int(rng.integers(1, 60))
        found += segmenter.add(values[position : position + count])
        position = min(position + count, len(values))
        told_s = found[-1].end_s if found else 0.0
        assert told_s >= position * WINDOW_S - longest_s - 1
        assert told_s <= position * WINDOW_S + 1e-9
    found += segmenter.finish(end_s)
    assert found == stretches(values, shortest_s, longest_s, end_s)
    assert found[0].start_s == 0
    assert found[-1].end_s == end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(found))
    assert all(0 < each.end_s - each.start_s <= longest_s + 1e-9 for each in found)
    assert all(a.speech or b.speech or b.end_s - a.start_s > longest_s - 1e-9 for a, b in itertools.pairwise(found))
    middles = (np.arange(len(values)) + 0.5) * WINDOW_S
    spoken = np.zeros(len(values), dtype=bool)
    for each in found:
        spoken[(middles >= each.start_s) & (middles < each.end_s)] = each.speech
    assert spoken[(values >= 0.5) & (middles < end_s)].all()


def test_an_empty_recording_has_no_stretches():
    assert stretches([]) == []


def test_a_recording_of_a_hundredth_of_a_second():
    assert stretches([0.9], end_s=0.01) == [Stretch(start_s=0.0, end_s=0.01, speech=True)]
    assert stretches([0.1], end_s=0.01) == [Stretch(start_s=0.0, end_s=0.01, speech=False)]


def test_one_window():
    assert stretches([0.9]) == [Stretch(start_s=0.0, end_s=WINDOW_S, speech=True)]


def test_video_that_goes_on_after_the_sound_is_without_speech():
    assert shown(stretches([], end_s=4.0)) == [(0, 4, False)]
    assert shown(stretches(probabilities((0.9, 2)), end_s=30)) == [
        *[(0, 2.1, True), (2.1, 12.1, False), (12.1, 22.1, False), (22.1, 30, False)]
    ]


def test_speech_between_silences_is_padded():
    assert shown(stretches(probabilities((0, 1.6), (0.9, 3.2), (0, 1.6)))) == [
        (0, 1.5, False),
        (1.5, 4.9, True),
        (4.9, 6.4, False),
    ]


def test_silence_only_is_cut_into_pieces_without_a_sliver():
    assert shown(stretches(probabilities((0, 20.032)))) == [(0, 10, False), (10, 15, False), (15, 20, False)]


def test_speech_only_is_cut_so_that_the_rest_is_not_short():
    found = stretches([1.0] * round(20.48 / WINDOW_S))
    assert all(each.speech and 1.0 <= each.end_s - each.start_s <= 10 for each in found)
    assert len(found) == 3


def test_long_speech_is_cut_where_it_is_least_probable():
    found = stretches(probabilities((0.9, 7.04), (0.4, 0.096), (0.9, 7.04)))
    assert shown(found) == [(0, 7.1, True), (7.1, 14.2, True)]


def test_a_dip_between_the_thresholds_is_speech_and_a_rise_between_them_is_none():
    assert len(stretches(probabilities((0.9, 2), (0.4, 2), (0.9, 2)))) == 1
    assert shown(stretches(probabilities((0.1, 2), (0.4, 2), (0.1, 2)))) == [(0, 6, False)]


@pytest.mark.parametrize(("pause_s", "count"), [(0.288, 1), (0.32, 3)])
def test_short_pauses_are_bridged(pause_s, count):
    assert len(stretches(probabilities((0.9, 3.2), (0, pause_s), (0.9, 3.2)))) == count


def test_short_speech_joins_the_neighbour_before_or_after():
    after = probabilities((0.9, 3.2), (0, 0.64), (0.9, 0.32), (0, 3.2))
    assert shown(stretches(after)) == [(0, 4.3, True), (4.3, 7.4, False)]
    before = probabilities((0, 3.2), (0.9, 0.32), (0, 0.64), (0.9, 3.2))
    assert shown(stretches(before)) == [(0, 3.1, False), (3.1, 7.4, True)]


def test_short_speech_without_a_neighbour_stays():
    alone = probabilities((0.9, 3.2), (0, 1.6), (0.9, 0.32), (0, 1.6), (0.9, 3.2))
    assert [each.speech for each in stretches(alone)] == [True, False, True, False, True]


def test_short_speech_that_would_make_its_neighbour_too_long_stays():
    found = stretches(probabilities((0.9, 9.6), (0, 0.64), (0.9, 0.32), (0, 3.2)))
    assert shown(found) == [(0, 9.7, True), (9.7, 10.1, False), (10.1, 10.7, True), (10.7, 13.8, False)]


def test_no_number_is_no_speech():
    assert shown(stretches([math.nan] * 100)) == [(0, 3.2, False)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shortest_s": 0.0}, "0 < shortest_s <= longest_s .* not 0.0 and 10.0"),
        ({"shortest_s": 11.0}, "not 11.0 and 10.0"),
        ({"shortest_s": 0.1, "longest_s": 0.4}, "longest_s >= 0.5, not 0.1 and 0.4"),
        ({"longest_s": math.nan}, "not 1.0 and nan"),
        ({"onset": 0.3}, "offset and onset must be 0 < offset <= onset <= 1, not 0.35 and 0.3"),
        ({"padding_s": 0.2}, "2 \\* padding_s <= pause_s .* not 0.2 and 0.3"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(UserError, match=message):
        stretches([], **settings)


def test_what_cannot_be_finished():
    segmenter = SpeechSegmenter(1.0, 10.0)
    segmenter.add([0.0] * 100)
    with pytest.raises(ValueError, match=r"100 windows of 0\.032 s do not fit into a recording of 1\.0 s"):
        segmenter.finish(1.0)
    segmenter.finish(3.2)
    with pytest.raises(ValueError, match="was finished"):
        segmenter.add([0.5])
    with pytest.raises(ValueError, match="was finished"):
        segmenter.finish(4.0)

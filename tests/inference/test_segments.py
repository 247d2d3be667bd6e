"""Where answers begin and end."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from signals import SAMPLE_RATE_HZ
from talking import speech

from mme2e.config import AnalysisSettings
from mme2e.inference.segments import Planned, plan
from mme2e.transcripts.cues import Cue, TimedWord


@dataclass
class Track:
    """In place of a stream: one of a known length."""

    length_s: float
    sound: np.ndarray | None = None
    reached_s: float = 0.0
    end_s: float | None = None
    missing: str | None = None

    def read_to(self, time_s: float) -> None:
        if self.end_s is None and time_s > self.reached_s:
            self.reached_s = min(time_s, self.length_s)
            self.end_s = None if time_s < self.length_s else self.length_s

    def samples(self, start_s: float, end_s: float) -> np.ndarray:
        assert self.sound is not None
        return self.sound[round(start_s * SAMPLE_RATE_HZ) : round(min(end_s, self.reached_s) * SAMPLE_RATE_HZ)]


def planned(audio=12.0, video=12.0, cues=(), spoken=(), start_s=0.0, end_s=None, recognise=None, **settings):
    sound = Track(audio, speech(audio, spoken))
    cues = [Cue(start_s=a, end_s=b, text=text) for a, b, text in cues]
    settings = AnalysisSettings(**({"window_s": 4.0, "hop_s": 2.0} | settings))
    return list(plan(settings, sound, Track(video), cues, recognise, start_s, end_s))


def times(found: list[Planned]) -> list[tuple[float, float, str]]:
    return [(round(each.start_s, 3), round(each.end_s, 3), each.kind) for each in found]


def test_sentences_with_gaps():
    found = planned(cues=[(0.5, 2.0, "a b"), (2.4, 4.0, "c"), (6.0, 8.0, "d"), (11.5, 12.0, "e")])
    assert times(found) == [
        (0.5, 2.0, "speech"),
        (2.4, 4.0, "speech"),
        (4.0, 6.0, "no speech"),
        (6.0, 8.0, "speech"),
        (8.0, 11.5, "no speech"),
        (11.5, 12.0, "speech"),
    ]
    assert [each.text for each in found] == ["a b", "c", None, "d", None, "e"]


def test_a_long_gap_is_cut_into_equal_pieces():
    found = planned(audio=30.0, video=30.0, cues=[(10.0, 29.5, "a")])
    assert times(found)[:3] == [(0.0, 3.333, "no speech"), (3.333, 6.667, "no speech"), (6.667, 10.0, "no speech")]
    assert times(found)[3:] == [(10.0, 29.5, "speech")]


def test_sentences_after_the_end_are_left_out_and_the_last_is_cut_there():
    found = planned(cues=[(9.0, 15.0, "a"), (16.0, 18.0, "b")], audio=12.0, video=11.0)
    assert times(found)[-1] == (9.0, 12.0, "speech")
    assert all(each.text != "b" for each in found)


def test_overlapping_sentences_are_both_answered():
    found = planned(cues=[(1.0, 6.0, "a"), (2.0, 4.0, "b"), (5.0, 7.0, "c")], audio=7.0, video=7.0)
    assert times(found)[1:] == [(1.0, 6.0, "speech"), (2.0, 4.0, "speech"), (5.0, 7.0, "speech")]


def test_only_sentences_of_the_stretch():
    found = planned(cues=[(0.0, 1.0, "a"), (1.5, 4.0, "b"), (5.0, 9.0, "c"), (9.5, 11.0, "d")], start_s=2.0, end_s=8.0)
    assert times(found) == [(2.0, 4.0, "speech"), (4.0, 5.0, "no speech"), (5.0, 8.0, "speech")]


@pytest.mark.parametrize(("audio", "video"), [(10.0, 3.0), (3.0, 10.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0)])
def test_windows_go_to_the_end_of_the_longer_track(audio, video):
    found = planned(audio=audio, video=video, segments="window")
    assert times(found)[:2] == [(0.0, 4.0, "window"), (2.0, 6.0, "window")]
    assert found[-1].end_s == 10.0
    assert all(each.end_s - each.start_s <= 4.0 for each in found)


def test_a_recording_shorter_than_a_window():
    assert times(planned(audio=1.5, video=1.2, segments="window")) == [(0.0, 1.5, "window")]


def test_windows_of_a_stretch():
    found = planned(segments="window", start_s=1.0, end_s=8.5, hop_s=4.0)
    assert times(found) == [(1.0, 5.0, "window"), (5.0, 8.5, "window")]


def test_a_word_belongs_to_the_window_that_its_middle_is_in():
    found = planned(segments="window", hop_s=4.0, cues=[(3.0, 7.0, "one two three four")])
    assert [each.text for each in found] == ["one", "two three four", None]


def test_times_of_words_are_used():
    words = (TimedWord(text=" now", start_s=3.0, end_s=3.2), TimedWord(text=" then", start_s=6.8, end_s=7.0))
    cue = Cue(start_s=3.0, end_s=7.0, text="now then", words=words)
    settings = AnalysisSettings(segments="window", window_s=4.0, hop_s=4.0)
    found = list(plan(settings, Track(8.0), Track(8.0), [cue], None, 0.0, None))
    assert [each.text for each in found] == ["now", "then"]


def test_speech_is_found_where_it_is():
    found = planned(audio=16.0, video=16.0, spoken=[(5.0, 8.0)])
    speaks = [each for each in found if each.kind == "speech"]
    assert speaks[0].start_s == pytest.approx(5.0, abs=0.7)
    assert speaks[-1].end_s == pytest.approx(8.0, abs=0.7)
    assert (found[0].start_s, found[-1].end_s) == (0.0, pytest.approx(16.0))


@pytest.mark.parametrize(("audio", "video"), [(9.0, 14.0), (14.0, 9.0)])
def test_a_silent_recording_is_covered_to_its_end_without_speech(audio, video):
    found = planned(audio=audio, video=video)
    assert {each.kind for each in found} == {"no speech"}
    assert found[0].start_s == 0.0
    assert found[-1].end_s == pytest.approx(14.0)
    for before, after in pairwise(found):
        assert after.start_s == pytest.approx(before.end_s)


def test_a_video_without_audio_is_covered():
    assert times(planned(audio=0.0, video=9.0))[-1] == (8.0, 9.0, "no speech")


def test_a_recording_of_nothing_has_no_segment():
    for segments in ("auto", "window"):
        assert planned(audio=0.0, video=0.0, segments=segments) == []


def test_recognised_words_are_asked_for_once_a_stretch_of_speech():
    asked = []

    def recognise(samples: np.ndarray, start_s: float) -> str:
        asked.append((start_s, len(samples) / SAMPLE_RATE_HZ))
        return "heard"

    found = [each for each in planned(spoken=[(4.0, 7.0)], recognise=recognise) if each.kind == "speech"]
    assert asked == [(each.start_s, pytest.approx(each.end_s - each.start_s, abs=1e-3)) for each in found]
    assert {each.text for each in found} == {"heard"}


def test_no_segment_of_speech_is_longer_than_asked():
    found = planned(audio=30.0, video=30.0, spoken=[(1.0, 29.0)], longest_s=5.0)
    assert max(each.end_s - each.start_s for each in found) <= 5.0 + 1e-6
    assert not any(math.isclose(each.start_s, each.end_s) for each in found)


def test_of_a_sentence_that_is_cut_the_words_that_are_left():
    found = planned(cues=[(2.0, 10.0, "one two three four five six seven eight")], start_s=6.0, end_s=8.0)
    assert times(found) == [(6.0, 8.0, "speech")]
    assert found[0].text == "five six"


def test_a_sentence_that_begins_where_the_recording_ends_is_none():
    assert times(planned(audio=6.0, video=6.0, cues=[(4.0, 6.0, "a"), (6.0, 7.0, "b")]))[-1] == (4.0, 6.0, "speech")


def test_a_gap_without_end_ends_with_the_recording():
    found = planned(audio=6.0, video=6.0, cues=[(1e12, 1e12 + 1, "much later")])
    assert times(found) == [(0.0, 4.0, "no speech"), (4.0, 6.0, "no speech")]

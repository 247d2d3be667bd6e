from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mme2e.corpora.iemocap import LABEL_NAMES as IEMOCAP
from mme2e.corpora.mosei import LABEL_NAMES as MOSEI
from mme2e.generated.expressions import EXPRESSIONS, NEUTRAL, Expression
from mme2e.generated.iemocap_layout import plan_dialogues
from mme2e.generated.mosei_layout import plan_videos
from mme2e.generated.sentences import CUES, clause_of
from mme2e.generated.utterances import SHOWN_PROBABILITY, perform
from mme2e.generated.voices import DELIVERIES, random_voice, speak
from mme2e.generated.voices import NEUTRAL as NEUTRAL_DELIVERY


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_every_emotion_has_a_face_a_voice_and_words():
    assert set(EXPRESSIONS) == set(DELIVERIES) == set(CUES) == set(IEMOCAP) | set(MOSEI)
    assert EXPRESSIONS["neu"] == NEUTRAL
    assert DELIVERIES["neu"] == NEUTRAL_DELIVERY


def test_expressions_add_and_scale():
    assert Expression(smile=1) * 0.5 + Expression(smile=0.25, tilt=1) == Expression(smile=0.75, tilt=1)


def test_a_modality_shows_the_emotion_with_the_stated_probability(generator: np.random.Generator):
    voice = random_voice(generator, woman=True)
    seen = [perform(["hap"], voice, generator) for _ in range(80)]
    faces = np.mean([p.faces == ("hap",) for p in seen])
    words = np.mean([any(cue in p.text.lower() for cue in CUES["hap"][1]) for p in seen])
    expected = SHOWN_PROBABILITY / (1 - (1 - SHOWN_PROBABILITY) ** 3)
    assert faces == pytest.approx(expected, abs=0.15)
    assert words == pytest.approx(expected, abs=0.15)


def test_neutral_is_neutral_everywhere(generator: np.random.Generator):
    voice = random_voice(generator, woman=False)
    for emotions in (["neu"], []):
        performance = perform(emotions, voice, generator)
        assert performance.faces == (None,)
        assert performance.pose(0.5).expression.smile == 0
        assert performance.emotions == tuple(emotions)


def test_two_emotions_have_a_clause_each(generator: np.random.Generator):
    voice = random_voice(generator, woman=False)
    performance = next(p for _ in range(50) if (p := perform(["fear", "anger"], voice, generator)).faces[0])
    first_end_s, end_s = performance.speech.clause_ends_s
    assert end_s == pytest.approx(performance.speech.duration_s)
    assert performance.pose(first_end_s / 2).emotion == "fear"
    assert performance.pose((first_end_s + end_s) / 2).emotion == "anger"


def test_an_expression_grows_and_relaxes(generator: np.random.Generator):
    voice = random_voice(generator, woman=True)
    performance = next(p for _ in range(50) if (p := perform(["sad"], voice, generator)).faces[0])
    duration_s = performance.speech.duration_s
    start, middle, end = (performance.pose(share * duration_s).strength for share in (0.0, 0.5, 0.999))
    assert start < middle > end


def test_voices_differ_in_loudness_tempo_and_pitch():
    voice = random_voice(np.random.default_rng(0), woman=True)
    clause = clause_of(None, np.random.default_rng(0))
    angry, sad = (speak([clause], [DELIVERIES[e]], voice, np.random.default_rng(0)) for e in ("ang", "sad"))
    assert angry.samples.std() > 1.5 * sad.samples.std()
    assert angry.duration_s < 0.8 * sad.duration_s
    assert len(angry.mouth) == pytest.approx(angry.duration_s * 200, abs=1)
    assert np.abs(angry.samples).max() < 1
    assert angry.mouth.max() > 0.4


def modulation_hz(emotion: str) -> float:
    """The strongest rate, 3 to 40 Hz, at which loudness goes up and down."""
    voice = random_voice(np.random.default_rng(0), woman=True)
    speech = speak(["aaaa " * 12], [DELIVERIES[emotion]], voice, np.random.default_rng(0))
    plain = speak(["aaaa " * 12], [replace(DELIVERIES[emotion], growl=0, tremor=0)], voice, np.random.default_rng(0))
    loudness = [np.abs(each.samples).reshape(-1, 80).mean(axis=1) for each in (speech, plain)]
    spectra = [np.abs(np.fft.rfft(each / each.mean())) for each in loudness]
    rates_hz = np.fft.rfftfreq(len(loudness[0]), 80 / 16000)
    added = np.where((rates_hz > 3) & (rates_hz < 40), spectra[0] - spectra[1], 0)
    return float(rates_hz[added.argmax()])


@pytest.mark.parametrize(("emotion", "rate_hz"), [("ang", 27), ("exc", 20), ("fru", 12), ("sad", 7), ("hap", 4.5)])
def test_voices_are_modulated_at_the_rate_of_their_emotion(emotion: str, rate_hz: float):
    assert modulation_hz(emotion) == pytest.approx(rate_hz, abs=1)


def test_people_differ_more_in_pitch_than_emotions_do():
    generator = np.random.default_rng(0)
    pitches_hz = [random_voice(generator, woman=woman).pitch_hz for woman in (True, False) * 50]
    factors = [delivery.pitch for delivery in DELIVERIES.values()]
    assert max(pitches_hz) / min(pitches_hz) > 2 > max(factors) / min(factors)


@pytest.mark.parametrize("utterances", [1, 4, 5, 6, 61, 3000])
def test_plans_have_the_wanted_number_and_balance(utterances: int):
    dialogues = plan_dialogues(utterances, seed=0)
    assert len({d.name for d in dialogues}) == len(dialogues)
    emotions = Counter(e for d in dialogues for e in d.emotions)
    assert sum(emotions.values()) == utterances
    assert all(d.emotions for d in dialogues)
    assert max(emotions.values()) - min(emotions.get(e, 0) for e in IEMOCAP) <= 1
    videos = plan_videos(utterances, seed=0)
    assert len({v.id for v in videos}) == len(videos)
    assert sum(len(v.clips) for v in videos) == utterances
    assert all(len(set(clip)) == len(clip) <= 2 for v in videos for clip in v.clips)


def test_mosei_emotions_come_equally_often():
    counts = Counter(e for v in plan_videos(600, seed=1) for clip in v.clips for e in clip)
    assert set(counts) == set(MOSEI)
    assert max(counts.values()) < 1.1 * min(counts.values())

import random
from itertools import pairwise

import pytest

from mme2e.transcripts.cues import Cue, TimedWord, Transcript
from mme2e.transcripts.sentences import sentences


def cue(start_s, end_s, text, speaker="", words=()):
    timed = tuple(TimedWord(text=text, start_s=first, end_s=last) for text, first, last in words)
    return Cue(start_s=start_s, end_s=end_s, text=text, speaker=speaker, words=timed)


def cut(*cues, longest_s=30.0):
    transcript = Transcript(cues=tuple(sorted(cues, key=lambda each: each.start_s)), source="")
    return [(each.start_s, each.end_s, each.text) for each in sentences(transcript, longest_s)]


def test_a_sentence_over_several_cues_is_one():
    assert cut(cue(0, 2, "I went to Mr."), cue(2, 4, "Smith, who was"), cue(4.5, 6, "not there.")) == [
        (0, 6, "I went to Mr. Smith, who was not there.")
    ]


def test_several_sentences_in_a_cue_share_its_time_by_their_characters():
    assert cut(cue(0, 3, "Oh no. Really? Yes!")) == [
        (0, pytest.approx(3 * 5 / 16), "Oh no."),
        (pytest.approx(3 * 5 / 16), pytest.approx(3 * 12 / 16), "Really?"),
        (pytest.approx(3 * 12 / 16), 3, "Yes!"),
    ]


def test_a_pause_ends_a_sentence():
    assert cut(cue(0, 1, "well"), cue(2, 3, "then"), cue(4.1, 5, "so")) == [(0, 3, "well then"), (4.1, 5, "so")]


def test_a_change_of_speaker_ends_a_sentence_but_talking_over_does_not():
    cues = cue(0, 1, "well", "A"), cue(1, 1.5, "what", "B"), cue(1.6, 3, "then", "A")
    assert cut(*cues) == [(0, 1, "well"), (1, 1.5, "what"), (1.6, 3, "then")]
    cues = cue(0, 1, "well", "A"), cue(0.5, 0.8, "hm", "B"), cue(1, 3, "then", "A")
    assert cut(*cues) == [(0, 3, "well then"), (0.5, 0.8, "hm")]


def test_known_times_of_words_are_kept():
    words = [("Oh", 0.1, 0.3), ("no.", 0.3, 0.6), ("Yes!", 1.0, 1.4)]
    first, second = sentences(Transcript(cues=(cue(0, 2, "Oh no. Yes!", words=words),), source=""), 30.0)
    assert (first.start_s, first.end_s, [word.text for word in first.words]) == (0.1, 0.6, ["Oh", "no."])
    assert (second.start_s, second.end_s) == (1.0, 1.4)
    other = [("Oh", 0.1, 0.3), ("yes", 0.3, 0.6)]
    (only,) = sentences(Transcript(cues=(cue(0, 2, "Oh no", words=other),), source=""), 30.0)
    assert (only.start_s, only.end_s, only.words) == (0, 2, ())


def test_what_is_too_long_is_cut_behind_a_clause_or_in_the_longest_gap():
    assert [text for _, _, text in cut(cue(0, 8, "aaaa bbbb, cccc dddd"), longest_s=5)] == ["aaaa bbbb,", "cccc dddd"]
    words = [("a", 0, 1), ("b", 1, 2), ("c", 2.5, 3), ("d", 3, 4), ("e", 4, 5)]
    assert cut(cue(0, 5, "a b c d e", words=words), longest_s=4) == [(0, 2, "a b"), (2.5, 5, "c d e")]
    assert cut(cue(0, 60, "Hello"), longest_s=10) == [(0, 10, "Hello")]


def test_scripts_without_spaces_are_cut_too():
    found = cut(cue(0, 4, "今天天气很好。我们"), cue(4, 6, "去公园吧\uff0c大家一起去"), longest_s=3.5)
    assert "".join(text for _, _, text in found) == "今天天气很好。我们去公园吧\uff0c大家一起去"
    assert found[0][2] == "今天天气很好。"
    assert all(end_s - start_s <= 3.5 for start_s, end_s, _ in found)


def test_a_transcript_without_times_comes_back():
    cues = (Cue(start_s=None, end_s=None, text="One. Two."),)
    assert sentences(Transcript(cues=cues, source=""), 5.0) == cues
    assert sentences(Transcript(cues=(), source=""), 5.0) == ()
    with pytest.raises(ValueError, match="must be positive"):
        sentences(Transcript(cues=(), source=""), 0.0)


@pytest.mark.parametrize("seed", range(100))
def test_all_words_stay_in_order_and_nothing_overlaps(seed):
    draw = random.Random(seed)
    cues, start_s, number = [], 0.0, 0
    for _ in range(draw.randrange(1, 40)):
        start_s += draw.choice([0, 0, 0.3, 1, 3])
        end_s = start_s + draw.choice([0.01, 1, 2, 40])
        words = []
        for _ in range(draw.randrange(1, 12)):
            number += 1
            words.append(f"{draw.choice('aA')}{number}{draw.choice(['', '', ',', '.', '?”'])}")
        steps = sorted(draw.uniform(start_s, end_s) for _ in range(2 * len(words)))
        timed = list(zip(words, steps[::2], steps[1::2], strict=True)) if draw.random() < 0.5 else []
        cues.append(cue(start_s, end_s, " ".join(words), draw.choice(["A", "A", "B"]), timed))
        start_s = draw.choice([start_s, end_s])
    cues.sort(key=lambda each: each.start_s)
    longest_s = draw.choice([0.5, 4, 100])
    found = sentences(Transcript(cues=tuple(cues), source=""), longest_s)
    assert list(found) == sorted(found, key=lambda each: each.start_s)
    for speaker in "AB":
        ours = [each for each in found if each.speaker == speaker]
        theirs = [each.text for each in cues if each.speaker == speaker]
        assert " ".join(each.text for each in ours).split() == " ".join(theirs).split()
        for before, after in pairwise(ours):
            assert before.end_s <= after.start_s
        for each in ours:
            assert 0 <= each.end_s - each.start_s <= longest_s + 1e-9
            if each.words:
                assert [word.text for word in each.words] == each.text.split()
                assert all(each.start_s <= word.start_s <= word.end_s <= each.end_s for word in each.words)

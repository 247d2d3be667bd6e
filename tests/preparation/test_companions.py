import random
from collections import Counter

import pytest

from mme2e.errors import UserError
from mme2e.preparation.companions import ComposePlan, Deck, composites


def plan(**changes: int | bool) -> ComposePlan:
    return ComposePlan(**({"fewest": 2, "most": 2, "copies": 3, "seed": 0, "partial": False} | changes))


def rows(**counts: int) -> dict[str, list[int]]:
    """So many rows for each label, numbered through."""
    found, start = {}, 0
    for label, count in counts.items():
        found[label] = list(range(start, start + count))
        start += count
    return found


def test_no_card_comes_again_before_all_were_dealt():
    deck = Deck(range(7), random.Random(0))
    dealt = [deck.deal(3) for _ in range(14)]
    cards = [card for hand in dealt for card in hand]
    assert all(sorted(cards[i : i + 7]) == list(range(7)) for i in range(0, len(cards), 7))
    assert all(len(set(hand)) == 3 for hand in dealt)


def test_few_cards_come_several_times_in_a_hand_and_none_make_an_empty_one():
    assert sorted(Deck([5, 6], random.Random(0)).deal(4)) == [5, 5, 6, 6]
    assert Deck([], random.Random(0)).deal(4) == []


def test_every_part_is_of_the_emotion_and_the_audio_comes_in_copies_in_train_only():
    pools = rows(happy=5, sad=3), rows(sad=10, happy=4), rows(happy=8, sad=2)
    for split, copies in (("train", 3), ("valid", 1)):
        made, lacking = composites(split, ("happy", "sad"), pools, plan())
        assert not lacking
        assert Counter(each.label for each in made) == {"happy": 5 * copies, "sad": 3 * copies}
        for each in made:
            audio, faces, text = (pool[each.label] for pool in pools)
            assert each.audio in audio
            assert each.text in text
            assert len(each.faces) == 2
            assert set(each.faces) <= set(faces)
        assert Counter((each.audio, each.copy) for each in made) == {(a, c): 1 for a in range(8) for c in range(copies)}


def test_copies_have_other_companions():
    made, _ = composites("train", ("happy",), (rows(happy=4), rows(happy=6), rows(happy=3)), plan())
    for audio in range(4):
        members = [each for each in made if each.audio == audio]
        assert len({face for each in members for face in each.faces}) == 6
        assert len({each.text for each in members}) == 3


def test_a_seed_decides_and_an_emotion_does_not_depend_on_the_others():
    pools = rows(happy=5, sad=3), rows(happy=9, sad=10), rows(happy=8, sad=5)
    first, _ = composites("train", ("happy", "sad"), pools, plan())
    assert composites("train", ("happy", "sad"), pools, plan())[0] == first
    assert composites("train", ("happy",), pools, plan())[0] == [each for each in first if each.label == "happy"]
    assert composites("train", ("happy", "sad"), pools, plan(seed=1))[0] != first


def test_a_range_is_drawn_from():
    made, _ = composites("train", ("a",), (rows(a=60), rows(a=9), rows(a=9)), plan(fewest=1, most=4))
    assert {len(each.faces) for each in made} == {1, 2, 3, 4}


def test_what_one_corpus_lacks_is_left_out():
    pools = rows(a=2, b=2), rows(a=2, c=2), rows(a=2, b=2, c=2)
    made, lacking = composites("valid", ("a", "b", "c", "d"), pools, plan())
    assert {each.label for each in made} == {"a"}
    assert lacking == [
        "valid: 'b' left out: no faces",
        "valid: 'c' left out: no audio",
        "valid: no utterance of 'd' in any of the corpora",
    ]


def test_partial_composes_without_what_is_lacking_and_without_audio_as_many_as_the_median():
    pools = rows(a=2, b=4, e=9), rows(a=2, c=2, e=5, d=1), rows(a=2, b=2, c=2, e=1)
    made, lacking = composites("train", ("a", "b", "c", "d", "e"), pools, plan(partial=True))
    assert Counter(each.label for each in made) == {"a": 6, "b": 12, "c": 12, "e": 27}
    assert all(each.faces == () and each.text is not None for each in made if each.label == "b")
    without_audio = [each for each in made if each.label == "c"]
    assert all(each.audio is None and len(each.faces) == 2 for each in without_audio)
    assert len({(each.text, each.copy) for each in without_audio}) == 12
    assert lacking == [
        "train: 'b' composed without faces",
        "train: 'd' left out: no audio and no text",
        "train: 'c' composed without audio",
    ]


def test_partial_without_any_audio_has_no_number_to_go_by():
    made, lacking = composites("test", ("a",), ({}, rows(a=2), rows(a=2)), plan(partial=True))
    assert (made, lacking) == ([], ["test: 'a' left out: no emotion has audio"])


def test_copies_must_be_some():
    with pytest.raises(UserError, match="copies must be at least 1, not 0"):
        plan(copies=0)

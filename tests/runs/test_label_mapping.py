import pytest

from mme2e.runs.label_mapping import describe_mapping, match_labels

STARTER = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.mark.parametrize(
    ("wanted", "given", "found"),
    [
        (("ang", "hap", "neu", "fru"), STARTER, {"ang": "angry", "hap": "happy", "neu": "neutral"}),
        (("Happiness", "Sadness"), STARTER, {"Happiness": "happy", "Sadness": "sad"}),
        (STARTER, STARTER, {name: name for name in STARTER}),
        (("joy", "happy"), ("happy",), {"happy": "happy"}),  # the same name goes first
        (("joy", "happy"), ("happiness", "joy"), {"joy": "joy", "happy": "happiness"}),
        (("bored",), ("Bored",), {"bored": "Bored"}),
        (("bored",), STARTER, {}),
        ((), STARTER, {}),
    ],
)
def test_names_of_one_emotion_match(wanted: tuple[str, ...], given: tuple[str, ...], found: dict[str, str]) -> None:
    assert match_labels(wanted, given) == found


def test_a_mapping_for_people() -> None:
    assert describe_mapping({"ang": "angry", "sad": "sad"}) == "ang = angry, sad"
    assert describe_mapping({}) == "none"

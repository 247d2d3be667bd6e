"""Which label of one set means which of another: happy, hap and happiness are one emotion."""

from collections.abc import Sequence

_SAME = (
    ("angry", "anger", "ang"),
    ("disgust", "disgusted", "dis"),
    ("fear", "fearful", "fea"),
    ("happy", "happiness", "hap", "joy", "joyful"),
    ("neutral", "neu"),
    ("sad", "sadness"),
    ("surprise", "surprised", "sur"),
)
_MEANING = {name: names[0] for names in _SAME for name in names}


def match_labels(wanted: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """The labels of `given` that mean those of `wanted`.

    Names are compared without case and by the usual names of the basic emotions; the same name goes before another.

    Args:
        wanted: Names to find.
        given: Names to choose from.

    Returns:
        By name of `wanted`, without those that nothing in `given` means. No name of `given` comes twice.
    """
    found: dict[str, str] = {name: name for name in wanted if name in given}
    left = [name for name in given if name not in found.values()]
    for name in wanted:
        same = [other for other in left if name not in found and _meaning(other) == _meaning(name)]
        if same:
            found[name] = same[0]
            left.remove(same[0])
    return {name: found[name] for name in wanted if name in found}


def describe_mapping(mapping: dict[str, str]) -> str:
    """The pairs of a mapping for people: "angry = ang, happy"."""
    return ", ".join(name if name == other else f"{name} = {other}" for name, other in mapping.items()) or "none"


def _meaning(name: str) -> str:
    folded = name.strip().casefold()
    return _MEANING.get(folded, folded)

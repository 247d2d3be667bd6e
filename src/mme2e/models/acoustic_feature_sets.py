"""The seven sets of acoustic features among which the reference chooses by a number.

Its acoustic vector has 34 low-level descriptors (22 of the spectrum, then 12 of pitch classes), many more numbers, and
from column 655 on 18 groups of 6.
"""

_SPECTRUM = range(22)
_PITCH_CLASSES = range(22, 34)
_LOW_LEVEL = (_SPECTRUM, _PITCH_CLASSES)
_GROUP_STARTS = range(655, 763, 6)


def _groups(width: int) -> tuple[range, ...]:
    """The first columns of each group."""
    return tuple(range(start, start + width) for start in _GROUP_STARTS)


_FILLER = range(100, 102)
"""Two columns that make 144 of 142, for the attention heads."""

_MORE = ((58, 104), (116, 122), (180, 214), (238, 244), (360, 366), (424, 458), (482, 488), (552, 560), (562, 566),
         (568, 582))  # fmt: skip
"""First column and the one after the last of what set 6 adds."""

_SETS: tuple[tuple[range, ...], ...] = (
    (*_LOW_LEVEL, *_groups(6), _FILLER),
    (_PITCH_CLASSES, *_groups(6)),
    (_SPECTRUM, *_groups(6)),
    _LOW_LEVEL,
    (*_LOW_LEVEL, *_groups(2)),
    (*_LOW_LEVEL, *_groups(4)),
    (*_LOW_LEVEL, *(range(first, end) for first, end in _MORE), *_groups(6)),
)


def acoustic_columns(feature_set: int) -> tuple[int, ...]:
    """Columns of the reference's acoustic vector that a set keeps, in its order.

    Args:
        feature_set: 0 to 6, the reference's `--audio-feature-type`.

    Raises:
        ValueError: There is no such set.
    """
    if feature_set not in range(len(_SETS)):
        raise ValueError(f"acoustic feature sets are 0 to {len(_SETS) - 1}, not {feature_set}")
    return tuple(column for columns in _SETS[feature_set] for column in columns)

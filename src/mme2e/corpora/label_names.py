"""One spelling for each emotion of a table that people wrote."""

from collections import Counter, defaultdict
from collections.abc import Sequence


def in_one_spelling(labels: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Gives names that differ in case only (Happy, happy, HAPPY) the spelling that comes most often.

    Args:
        labels: Names of the emotions of each utterance.

    Returns:
        The same with one spelling each, sorted, and a line for people about each name that had several.
    """
    counts = Counter(name for names in labels for name in names)
    spellings: dict[str, list[str]] = defaultdict(list)
    for name, _ in counts.most_common():
        spellings[name.casefold()].append(name)
    chosen = {name: same[0] for same in spellings.values() for name in same}
    remarks = [
        f"labels {', '.join(f'{name} ({counts[name]})' for name in same)} differ in case only: all are '{same[0]}'"
        for same in spellings.values()
        if len(same) > 1
    ]
    return [tuple(sorted({chosen[name] for name in names})) for names in labels], remarks

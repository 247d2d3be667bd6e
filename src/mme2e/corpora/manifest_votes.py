"""Votes of annotators in a manifest: one column a label, `v_happy` for instance, with a number in each row."""

from collections.abc import Sequence
from dataclasses import replace

from mme2e.corpora.label_names import in_one_spelling
from mme2e.corpora.manifest_rows import VOTES
from mme2e.corpora.utterance import Utterance
from mme2e.times import number_of

Votes = tuple[tuple[str, float], ...]
"""Label and votes; those above 0."""


def votes_of(cells: dict[str, str], labels: Sequence[str]) -> Votes:
    """The votes of a row; an empty cell is none.

    Args:
        cells: Text by column.
        labels: Those that have a column of votes.

    Raises:
        ValueError: A cell is not a finite number from 0.
    """
    votes = []
    for label in labels:
        cell = cells.get(VOTES + label)
        if cell is None:
            continue
        try:
            number = number_of(cell)
        except ValueError:
            number = -1
        if number < 0:
            raise ValueError(f"{VOTES}{label} is '{cell}'; expected is a finite number from 0")
        if number:
            votes.append((label, number))
    return tuple(votes)


def with_labels(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[str]]:
    """One spelling for each label of labels and votes, and the label of most votes where a row has votes only.

    Where several labels have most votes it is the first of them in alphabetical order.

    Returns:
        The utterances, with their votes in alphabetical order, and a line for people about each label that was spelled
        in several ways.
    """
    own = [utterance.labels for utterance in utterances]
    voted = sorted({label for utterance in utterances for label, _ in utterance.votes})
    spelled, remarks = in_one_spelling([*own, *((label,) for label in voted)])
    spelling = {label: name for label, (name,) in zip(voted, spelled[len(own) :], strict=True)}
    found = []
    for utterance, labels in zip(utterances, spelled[: len(own)], strict=True):
        votes = tuple(sorted((spelling[label], number) for label, number in utterance.votes))
        if votes and not labels:
            labels = (max(votes, key=lambda vote: vote[1])[0],)
        same = utterance.labels == labels and utterance.votes == votes
        found.append(utterance if same else replace(utterance, labels=labels, votes=votes))
    return found, remarks

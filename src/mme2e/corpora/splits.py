"""Split protocols: which utterances are for training, validation and test.

All thresholds and choices of a model come from validation; test is only scored. What train and test share is what
the protocol says: the published lists of IEMOCAP share speakers and dialogues (reference, section 4, fault 6),
`session` and `speaker` share neither speakers nor recordings, `recording` no recording.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mme2e.config import SplitSettings
from mme2e.corpora.split_lists import SPLITS, SplitLists, read_split_lists
from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance
from mme2e.errors import UserError

SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
"""Aimed shares of the utterances in the random protocols."""

ENOUGH_GROUPS = 10
"""`auto` splits by speaker from this many groups of speakers on; with fewer, shares and emotions come out uneven."""


def assign_splits(corpus: RawCorpus, settings: SplitSettings, lists: Path | None = None) -> RawCorpus:
    """Gives every utterance a split.

    `auto` takes the lists when there are any, else the splits that the corpus brings along, else for IEMOCAP the
    sessions (when the test session and two others are there), else random speakers (when the corpus knows them and
    they are enough), else random recordings.

    Args:
        corpus: What a corpus reader returned.
        settings: The protocol.
        lists: Split lists, see `read_split_lists`.

    Returns:
        The corpus with splits and their `split_protocol`, without the utterances that the protocol leaves out: they
        move to `skipped`.

    Raises:
        UserError: A list is missing, empty, contradicts another or names none of the utterances; the corpus has no
            sessions, or not the one to test on; it brings no splits; it does not say who speaks, or too few.
    """
    protocol = _automatic(corpus, settings, lists) if settings.protocol == "auto" else settings.protocol
    if protocol == "lists":
        if lists is None:
            raise UserError("split.protocol lists requires --splits DIR_OR_FILE")
        return apply_lists(corpus, read_split_lists(lists))
    if protocol == "corpus":
        brought = {utterance.id: utterance.split for utterance in corpus.utterances if utterance.split is not None}
        if not brought:
            raise UserError("split.protocol corpus: the corpus does not put its utterances into splits")
        return _apply(corpus, brought, corpus.split_protocol, "the corpus gives it no split")
    if protocol == "session":
        return _apply(corpus, _by_session(corpus, settings.fold), f"session, fold {settings.fold}", "in no session")
    groups = _groups_of_speakers(corpus) if protocol == "speaker" else {u.id: u.recording for u in corpus.utterances}
    if protocol == "speaker":
        _check_speakers(corpus, groups)
    return _apply(corpus, _at_random(corpus, groups, settings.seed), f"{protocol}, seed {settings.seed}", "in no split")


def apply_lists(corpus: RawCorpus, lists: SplitLists) -> RawCorpus:
    """Splits by lists; what is in no list, or listed without being there, is reported in `skipped`.

    Raises:
        UserError: The lists name none of the utterances.
    """
    found = {utterance.id for utterance in corpus.utterances}
    if found.isdisjoint(lists.split_of):
        raise UserError(f"the lists in {lists.name} name none of the {len(found)} utterances of the corpus")
    known = found | {skipped.item for skipped in corpus.skipped}
    lost = tuple(
        Skipped(item=id_, reason="in the split lists, but not in the corpus")
        for id_ in sorted(lists.split_of.keys() - known)
    )
    split = _apply(corpus, lists.split_of, lists.protocol(corpus.name), f"in no list of {lists.name}")
    return replace(split, skipped=split.skipped + lost, listed=lists.counts)


def _automatic(corpus: RawCorpus, settings: SplitSettings, lists: Path | None) -> str:
    if lists is not None:
        return "lists"
    if any(utterance.split is not None for utterance in corpus.utterances):
        return "corpus"
    sessions = _sessions(corpus) if corpus.name == "iemocap" else []
    if settings.fold in sessions and len(sessions) >= len(SPLITS):
        return "session"
    groups = set(_groups_of_speakers(corpus).values()) if _knows_speakers(corpus) else set()
    return "speaker" if len(groups) >= ENOUGH_GROUPS else "recording"


def _apply(corpus: RawCorpus, split_of: Mapping[str, str], protocol: str, reason: str) -> RawCorpus:
    kept = tuple(replace(u, split=split_of[u.id]) for u in corpus.utterances if u.id in split_of)
    left_out = tuple(Skipped(item=u.id, reason=reason) for u in corpus.utterances if u.id not in split_of)
    return replace(corpus, utterances=kept, skipped=corpus.skipped + left_out, split_protocol=protocol)


def _session(utterance: Utterance) -> int | None:
    """Session of an IEMOCAP dialogue ("Ses03M_impro01" -> 3)."""
    digits = utterance.recording[3:5]
    return int(digits) if utterance.recording.startswith("Ses") and digits.isdigit() else None


def _sessions(corpus: RawCorpus) -> list[int]:
    return sorted({session for u in corpus.utterances if (session := _session(u)) is not None})


def _by_session(corpus: RawCorpus, fold: int) -> dict[str, str]:
    """Test on session `fold`, validate on the one before it (cyclically), train on the rest."""
    sessions = _sessions(corpus)
    if fold not in sessions:
        has = f"sessions {', '.join(map(str, sessions))}" if sessions else f"no sessions ({corpus.name})"
        raise UserError(f"split.protocol session with split.fold {fold}: the corpus has {has}")
    validation = sessions[sessions.index(fold) - 1]
    names = {validation: "valid", fold: "test"}  # of a single session test wins
    return {u.id: names.get(s, "train") for u in corpus.utterances if (s := _session(u)) is not None}


def _knows_speakers(corpus: RawCorpus) -> bool:
    """Whether speakers are more than the ids of their recordings, which stand in where a corpus does not say."""
    return any(utterance.speaker != utterance.recording for utterance in corpus.utterances)


def _groups_of_speakers(corpus: RawCorpus) -> dict[str, str]:
    """Group by utterance id: speakers who share a recording are kept together, so that none of both is torn apart."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    for utterance in corpus.utterances:
        parent[find(("recording", utterance.recording))] = find(("speaker", utterance.speaker))
    return {utterance.id: find(("speaker", utterance.speaker))[1] for utterance in corpus.utterances}


def _check_speakers(corpus: RawCorpus, groups: dict[str, str]) -> None:
    if not _knows_speakers(corpus):
        raise UserError(
            "split.protocol speaker: the corpus does not name its speakers; split.protocol recording does not need them"
        )
    number = len(set(groups.values()))
    if number < len(SPLITS):
        speakers = len({utterance.speaker for utterance in corpus.utterances})
        raise UserError(
            f"split.protocol speaker: {speakers} speakers, of whom those in one recording stay together, make "
            f"{number} groups; expected are at least {len(SPLITS)}"
        )


def _at_random(corpus: RawCorpus, group_of: dict[str, str], seed: int) -> dict[str, str]:
    """Random 70/10/20 by group, stratified: groups of the rarest label are dealt first, each to the split that lacks
    that label most (Sechidis et al. 2011, with groups for examples).

    Args:
        corpus: The corpus.
        group_of: Group by utterance id; a group stays whole.
        seed: Decides the order of the groups.
    """
    groups = sorted(set(group_of.values()))
    row = {name: i for i, name in enumerate(groups)}
    column = {name: i for i, name in enumerate(corpus.label_names)}
    counts = np.zeros((len(groups), len(column) + 1), dtype=np.int64)  # last column: all utterances
    for utterance in corpus.utterances:
        counts[row[group_of[utterance.id]], [*(column[label] for label in utterance.labels), -1]] += 1

    order = np.random.default_rng(seed).permutation(len(groups))
    waiting = {label: iter(order[counts[order, label] > 0].tolist()) for label in range(counts.shape[1])}
    remaining = (counts > 0).sum(axis=0)  # groups with each label that are not dealt yet
    lacking = np.outer(list(SHARES.values()), counts.sum(axis=0))  # (splits, labels + 1), still lacking
    has_label = np.zeros(lacking.shape, dtype=bool)
    chosen: dict[int, int] = {}
    while len(chosen) < len(groups):
        label = int(np.argmin(np.where(remaining > 0, remaining, len(groups) + 1)))
        group = next(i for i in waiting[label] if i not in chosen)
        candidates = [s for s in range(len(SPLITS)) if not has_label[s, label]]
        if remaining[label] > len(candidates):  # enough left to give every split its own
            candidates = list(range(len(SPLITS)))
        empty = [s for s in range(len(SPLITS)) if not has_label[s, -1]]
        if remaining[-1] <= len(empty):  # no more groups than that are left
            candidates = empty
        split = max(candidates, key=lambda s: (lacking[s, label], lacking[s, -1]))
        chosen[group] = split
        lacking[split] -= counts[group]
        has_label[split] |= counts[group] > 0
        remaining -= counts[group] > 0
    return {u.id: SPLITS[chosen[row[group_of[u.id]]]] for u in corpus.utterances}

"""Split protocols: which utterances are for training, validation and test.

All thresholds and choices of a model come from validation; test is only scored. What train and test share is told by
the protocol: the published lists of IEMOCAP share speakers and dialogues (reference, section 4, fault 6), `session`
shares neither, `recording` no recording.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mme2e.config import SplitSettings
from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance
from mme2e.errors import UserError

SPLITS = ("train", "valid", "test")
SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
"""Aimed shares of the utterances in the `recording` protocol."""


def assign_splits(corpus: RawCorpus, settings: SplitSettings) -> tuple[RawCorpus, str]:
    """Gives every utterance a split.

    `auto` takes the lists when there are any, for IEMOCAP the sessions (when the test session and two others are
    there), else random recordings.

    Returns:
        The corpus with splits, without the utterances that the protocol leaves out (they move to `skipped`), and one
        phrase that describes the protocol, for tables.

    Raises:
        UserError: A list is missing, empty, contradicts another or names none of the utterances; the corpus has no
            sessions, or not the one to test on.
    """
    protocol = _automatic(corpus, settings) if settings.protocol == "auto" else settings.protocol
    if protocol == "lists":
        assert settings.lists is not None  # SplitSettings refuses lists without a folder
        folder = Path(settings.lists)
        return _by_lists(corpus, folder), f"published lists ({folder.name})"
    if protocol == "session":
        return _apply(corpus, _by_session(corpus, settings.fold)), f"session, fold {settings.fold}"
    return _apply(corpus, _by_recording(corpus, settings.seed)), f"recording, seed {settings.seed}"


def _automatic(corpus: RawCorpus, settings: SplitSettings) -> str:
    if settings.lists is not None:
        return "lists"
    sessions = _sessions(corpus) if corpus.name == "iemocap" else []
    return "session" if settings.fold in sessions and len(sessions) >= len(SPLITS) else "recording"


def _by_lists(corpus: RawCorpus, folder: Path) -> RawCorpus:
    """Splits of published lists; what is in no list, or listed without being there, is told in `skipped`."""
    split_of = _read_lists(folder)
    found = {utterance.id for utterance in corpus.utterances}
    if found.isdisjoint(split_of):
        raise UserError(f"the lists in {folder} name none of the {len(found)} utterances of the corpus")
    known = found | {skipped.item for skipped in corpus.skipped}
    lost = sorted(split_of.keys() - known)
    lost_reason = "in the split lists, but not in the corpus"
    return _apply(
        corpus, split_of, f"in no list of {folder.name}", [Skipped(item=id_, reason=lost_reason) for id_ in lost]
    )


def _apply(
    corpus: RawCorpus, split_of: dict[str, str], reason: str = "in no split", lost: Iterable[Skipped] = ()
) -> RawCorpus:
    kept = tuple(replace(u, split=split_of[u.id]) for u in corpus.utterances if u.id in split_of)
    left_out = tuple(Skipped(item=u.id, reason=reason) for u in corpus.utterances if u.id not in split_of)
    return replace(corpus, utterances=kept, skipped=corpus.skipped + left_out + tuple(lost))


def _read_lists(folder: Path) -> dict[str, str]:
    """Split by utterance id from {train,valid,test}_split.txt, one id a line."""
    split_of: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}_split.txt"
        if not path.is_file():
            raise UserError(f"{folder} has no {path.name}; split.lists wants train_, valid_ and test_split.txt")
        ids = path.read_text(encoding="utf-8").split()
        if not ids:
            raise UserError(f"{path} is empty; one utterance id a line is wanted")
        for id_ in ids:
            if split_of.setdefault(id_, split) != split:
                raise UserError(f"'{id_}' is in {split_of[id_]}_split.txt and in {path.name} of {folder}")
    return split_of


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


def _by_recording(corpus: RawCorpus, seed: int) -> dict[str, str]:
    """Random 70/10/20 by recording, stratified: recordings of the rarest label are dealt first, each to the split
    that lacks that label most (Sechidis et al. 2011, with recordings for examples).
    """
    recordings = sorted({u.recording for u in corpus.utterances})
    row = {name: i for i, name in enumerate(recordings)}
    column = {name: i for i, name in enumerate(corpus.label_names)}
    counts = np.zeros((len(recordings), len(column) + 1), dtype=np.int64)  # last column: all utterances
    for utterance in corpus.utterances:
        counts[row[utterance.recording], [*(column[label] for label in utterance.labels), -1]] += 1

    lacking = np.outer(list(SHARES.values()), counts.sum(axis=0))  # (splits, labels + 1), still wanted
    has_label = np.zeros(lacking.shape, dtype=bool)
    chosen: dict[str, str] = {}
    left = np.random.default_rng(seed).permutation(len(recordings)).tolist()
    while left:
        remaining = (counts[left] > 0).sum(axis=0)  # recordings with each label
        label = int(np.argmin(np.where(remaining > 0, remaining, len(recordings) + 1)))
        recording = next(i for i in left if counts[i, label])
        candidates = [s for s in range(len(SPLITS)) if not has_label[s, label]]
        if remaining[label] > len(candidates):  # enough left to give every split its own
            candidates = list(range(len(SPLITS)))
        split = max(candidates, key=lambda s: (lacking[s, label], lacking[s, -1]))
        chosen[recordings[recording]] = SPLITS[split]
        lacking[split] -= counts[recording]
        has_label[split] |= counts[recording] > 0
        left.remove(recording)
    return {u.id: chosen[u.recording] for u in corpus.utterances}

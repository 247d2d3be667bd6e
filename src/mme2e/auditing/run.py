"""What a prepared corpus contains, and what its splits share."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mme2e.auditing.result import Audit, Durations, SkippedGroup, SplitAudit
from mme2e.data.corpus import Corpus, multi_hot
from mme2e.data.schema import SPLITS, UNASSIGNED, CorpusInfo
from mme2e.faces.face_crop import FaceFlag
from mme2e.scores.overlap import KINDS, Leakage, leakage
from mme2e.scores.published import UTTERANCES

_COLUMNS = ("id", "recording", "speaker", "start_s", "end_s", "text", "labels", "face_flags", "num_samples")
_PAIRS = (("test", "train"), ("valid", "train"), ("test", "valid"))
_FACE_FLAGS = frozenset(int(flag) for flag in FaceFlag if flag.has_face)

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
LEFT_OUT = "left out: "

_EXPECTED_FORM = re.compile(r"^(not '[^']*').*")  # what follows is the line that was found
_QUOTED = re.compile(r"'[^']*'")
_FILE_OR_NUMBER = re.compile(r"[^\s,;:]*[\d/][^\s,;:]*|[^\s,;:]+\.(?:avi|mp4|wav|flac|txt|csv|jpg|png)\b")

Row = dict[str, Any]


def audit_corpus(corpus: Corpus) -> Audit:
    """Counts what a prepared corpus contains; faces and audio are not read.

    Raises:
        UserError: One of its files is damaged, or it has a label that it does not declare.
    """
    info = corpus.info
    names = (*SPLITS, UNASSIGNED) if UNASSIGNED in corpus.splits else SPLITS
    rows = {name: corpus.columns(name, _COLUMNS).to_pylist() for name in names}
    every_row = [row for name in names for row in rows[name]]
    columns = {name: {kind: [row[kind] for row in rows[name]] for kind in KINDS} for name in names}
    leakages = tuple(
        leakage(columns[split], columns[against], split=split, against=against) for split, against in _PAIRS
    )
    return Audit(
        corpus=f"{info.name} {corpus.fingerprint}",
        split_protocol=info.split_protocol,
        label_names=info.label_names,
        multi_label=info.multi_label,
        splits=tuple(_split(name, rows[name], info.label_names) for name in names),
        all=_split("all", every_row, info.label_names),
        published=dict(UTTERANCES.get(info.name, {})),
        leakages=leakages,
        recordings_shared_by_design=info.shares_recordings_by_design,
        skipped=group_reasons(info.skipped),
        findings=tuple(_findings(info, rows, every_row, leakages[0])),
    )


def _split(name: str, rows: Sequence[Row], label_names: tuple[str, ...]) -> SplitAudit:
    present = np.array([multi_hot(row["labels"], label_names) for row in rows], dtype=np.int64)
    present = present.reshape(len(rows), len(label_names))
    co_occurrence = present.T @ present
    faces = [sum(flag in _FACE_FLAGS for flag in row["face_flags"]) for row in rows]
    return SplitAudit(
        name=name,
        utterances=len(rows),
        recordings=len({row["recording"] for row in rows}),
        speakers=len({row["speaker"] for row in rows}),
        positives=tuple(co_occurrence.diagonal().tolist()),
        unlabelled=int((present.sum(axis=1) == 0).sum()),
        co_occurrence=tuple(map(tuple, co_occurrence.tolist())),
        durations=Durations.of(np.array([row["end_s"] - row["start_s"] for row in rows])),
        words=sum(len((row["text"] or "").split()) for row in rows),
        frames=sum(len(row["face_flags"]) for row in rows),
        frames_with_face=sum(faces),
        no_text=sum(not (row["text"] or "").strip() for row in rows),
        no_audio=sum(row["num_samples"] == 0 for row in rows),
        no_face=faces.count(0),
    )


def _findings(
    info: CorpusInfo, rows: dict[str, list[Row]], every_row: list[Row], test_in_train: Leakage
) -> Iterator[str]:
    shared = test_in_train.recordings.shared
    if not (rows["train"] and rows["test"]):
        yield "without train or without test there is nothing to share"
    elif not shared:
        yield "train and test share no recording"
    elif info.shares_recordings_by_design:
        yield f"train and test share {shared} recordings, as this split protocol does by design"
    else:
        yield f"train and test share {shared} recordings, which this split protocol does not declare"
    for name in SPLITS:
        if not rows[name]:
            yield f"no utterances in {name}"
    for name, found in rows.items():
        if len(found) != info.counts.get(name, 0):
            yield f"corpus.json counts {info.counts.get(name, 0)} utterances in {name}, its files contain {len(found)}"
    twice = [id_ for id_, count in Counter(row["id"] for row in every_row).items() if count > 1]
    if twice:
        yield f"{len(twice)} utterance ids come more than once, like '{twice[0]}'"
    wrong = sum(len(row["labels"]) != 1 for row in every_row)
    if wrong and not info.multi_label:
        yield f"{wrong} utterances have no label or several, although the corpus is single-label"
    for index, emotion in enumerate(info.label_names):
        lacking = [name for name in SPLITS if rows[name] and not any(emotion in row["labels"] for row in rows[name])]
        if lacking:
            yield f"no utterance is {info.label_names[index]} in {', '.join(lacking)}: its scores are undefined there"
    if info.name in UTTERANCES and not info.has_published_split:
        yield "the published counts are those of the published lists; this corpus is split otherwise"


def group_reasons(skipped: Sequence[dict[str, str]]) -> tuple[SkippedGroup, ...]:
    """Counts what was left out, or kept without a modality, by reason: the most frequent one first.

    An item with several reasons ("; " between them) counts in each of them.

    Args:
        skipped: As in `CorpusInfo`: "item" and "reason".
    """
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for entry in skipped:
        for reason in _reasons_in(entry["reason"]):
            counts[reason] = counts.get(reason, 0) + 1
            examples.setdefault(reason, entry["item"])
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(SkippedGroup(reason=reason, count=counts[reason], example=examples[reason]) for reason in ordered)


def _reasons_in(reason: str) -> list[str]:
    if _EXPECTED_FORM.match(reason):
        return [_EXPECTED_FORM.sub(rf"\1: {ELLIPSIS}", reason)]
    outcome = LEFT_OUT if reason.startswith(LEFT_OUT) else ""
    return [outcome + _without_particulars(part) for part in reason.removeprefix(LEFT_OUT).split("; ")]


def _without_particulars(reason: str) -> str:
    return _FILE_OR_NUMBER.sub(ELLIPSIS, _QUOTED.sub(ELLIPSIS, reason))

"""Writing composite utterances: rows of three prepared corpora to one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from mme2e import console
from mme2e.data.corpus import Corpus, multi_hot
from mme2e.data.rows import digest
from mme2e.data.schema import ROW_SCHEMA, SCHEMA_VERSION, CorpusInfo
from mme2e.errors import UserError
from mme2e.faces.face_crop import FaceFlag
from mme2e.preparation.companions import MODALITY_WORDS, ComposePlan, Composite, Pools, composites
from mme2e.preparation.compose import ComposedGroup, ComposeSummary
from mme2e.preparation.copying import (
    KEY,
    ShardWriter,
    face_settings,
    made_before,
    one_phrase,
    open_sources,
    whole_folder,
)
from mme2e.preparation.writer import FOLDERS
from mme2e.records import from_plain, plain

SOURCES, GROUPS = "composed of", "composed"
"""In `CorpusInfo.provenance`: the three corpora, and a `ComposedGroup` for each split and emotion."""

WITHOUT_AUDIO = "no-audio~"
"""Begins ids, recordings and speakers of utterances without audio; the rest is that of the text."""

_AUDIO = ("audio", "num_samples", "mel_statistics")
_FACES = ("face_crops", "face_flags", "face_boxes")


def compose_corpora(audio: Path, faces: Path, text: Path, out: Path, plan: ComposePlan) -> ComposeSummary:
    """Puts utterances together; see `mme2e.preparation.compose.compose`.

    Args:
        audio: Prepared corpus with audio.
        faces: Prepared corpus with faces.
        text: Prepared corpus with text.
        out: Folder of the composed corpus.
        plan: How.
    """
    corpora = open_sources((audio, faces, text), out)
    key = digest(["compose", SCHEMA_VERSION, plain(plan), [corpus.fingerprint for corpus in corpora]])
    already = made_before(out, key)
    if already is not None:
        return _summary(out, already, already_done=True)
    label_names = tuple(dict.fromkeys(name for corpus in corpora for name in corpus.info.label_names))
    groups: list[ComposedGroup] = []
    lacking: list[str] = []
    with whole_folder(out) as folder:
        for split in [name for name in FOLDERS if any(name in corpus.splits for corpus in corpora)]:
            with console.waiting(f"composing {split}"):
                parts = _Parts(corpora, split)
                planned, without = composites(split, label_names, parts.pools, plan)
                lacking += without
                groups += [group for name in label_names for group in _groups(split, name, planned)]
                _write(folder / split, planned, parts, corpora[1].info.frame_interval_ms / 1000)
        if not groups:
            raise UserError(f"nothing can be composed: {'; '.join(lacking)}")
        info = _info(corpora, label_names, groups, lacking, plan, key)
        info.write(folder)
    return _summary(out, info, already_done=False)


class _Parts:
    """One split of the three corpora.

    Attributes:
        pools: Rows of a single label with audio, with a face, with text.
    """

    def __init__(self, corpora: Sequence[Corpus], split: str) -> None:
        self._tables = [_table(corpus, split) for corpus in corpora]
        self._small = [
            {
                name: table[name].to_pylist()
                for name in ("id", "recording", "speaker", "start_s", "end_s", "num_samples")
            }
            for table in self._tables
        ]
        self._texts = self._tables[2]["text"].to_pylist()
        present = (
            _has_audio(self._tables[0]),
            _has_face(self._tables[1]),
            [bool(t and t.strip()) for t in self._texts],
        )
        found = [_pools(*each) for each in zip(corpora, self._tables, present, strict=True)]
        self.pools: tuple[Pools, Pools, Pools] = (found[0], found[1], found[2])

    def row(self, composite: Composite, interval_s: float) -> dict[str, Any]:
        """A row of the composed corpus; columns that no part has are null."""
        frames = self._frames(composite.faces)
        count = len(frames["face_flags"])
        row: dict[str, Any] = dict.fromkeys(ROW_SCHEMA.names)
        if composite.audio is not None:
            small, index, prefix = self._small[0], composite.audio, ""
            times = {"start_s": small["start_s"][index], "end_s": small["end_s"][index]}
            audio = {name: self._tables[0][name][index].as_py() for name in _AUDIO}
        else:
            assert composite.text is not None  # one modality at most is lacking
            small, index, prefix = self._small[2], composite.text, WITHOUT_AUDIO
            times = {"start_s": 0.0, "end_s": count * interval_s}
            audio = dict.fromkeys(_AUDIO) | {"num_samples": 0}
        return {
            **row,
            "id": f"{prefix}{small['id'][index]}_{composite.copy}",
            "recording": prefix + small["recording"][index],
            "speaker": prefix + small["speaker"][index],
            "text": None if composite.text is None else self._texts[composite.text],
            "labels": [composite.label],
            "face_times_s": [times["start_s"] + i * interval_s for i in range(count)],
            **times,
            **audio,
            **frames,
        }

    def _frames(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        """The frames of several rows, one after the other."""
        return {name: [frame for row in rows for frame in self._tables[1][name][row].as_py()] for name in _FACES}


def _table(corpus: Corpus, split: str) -> pa.Table:
    """Rows of a split, mapped into memory; none where it has none."""
    return corpus.split(split).data.table if split in corpus.splits else ROW_SCHEMA.empty_table()


def _has_audio(table: pa.Table) -> list[bool]:
    return [count > 0 for count in table["num_samples"].to_pylist()]


def _has_face(table: pa.Table) -> list[bool]:
    """Whether a face was seen in any frame."""
    seen = {flag for flag in FaceFlag if flag.has_face}
    return [not seen.isdisjoint(flags) for flags in table["face_flags"].to_pylist()]


def _pools(corpus: Corpus, table: pa.Table, present: Sequence[bool]) -> Mapping[str, list[int]]:
    """Rows that have the modality and a single label, by label."""
    pools: dict[str, list[int]] = {}
    for index, (labels, has) in enumerate(zip(table["labels"].to_pylist(), present, strict=True)):
        multi_hot(labels, corpus.info.label_names)  # refuses labels that are not known
        if has and len(labels) == 1:
            pools.setdefault(labels[0], []).append(index)
    return pools


def _write(folder: Path, planned: Sequence[Composite], parts: _Parts, interval_s: float) -> None:
    ids: set[str] = set()
    with ShardWriter(folder, "") as writer:
        for composite in planned:
            row = parts.row(composite, interval_s)
            if row["id"] in ids:
                raise UserError(
                    f"two composite utterances would be called '{row['id']}'; the ids of a corpus must differ"
                )
            ids.add(row["id"])
            writer.add(row, sum(map(len, row["face_crops"])) + len(row["audio"] or b""))


def _groups(split: str, label: str, planned: Sequence[Composite]) -> Iterator[ComposedGroup]:
    members = [each for each in planned if each.label == label]
    if members:
        yield ComposedGroup(
            split=split,
            label=label,
            utterances=len(members),
            audio=len({each.audio for each in members} - {None}),
            photographs=len({row for each in members for row in each.faces}),
            texts=len({each.text for each in members} - {None}),
        )


def _info(
    corpora: Sequence[Corpus],
    label_names: tuple[str, ...],
    groups: Sequence[ComposedGroup],
    lacking: Sequence[str],
    plan: ComposePlan,
    key: str,
) -> CorpusInfo:
    names = [corpus.folder.resolve().name for corpus in corpora]
    sources = {
        word: {"name": name, "corpus": corpus.info.name, "fingerprint": corpus.fingerprint}
        for word, name, corpus in zip(MODALITY_WORDS, names, corpora, strict=True)
    }
    face = face_settings(corpora[1:2])
    counts = {split: sum(each.utterances for each in groups if each.split == split) for split in FOLDERS}
    return CorpusInfo(
        name=f"composed:{'+'.join(names)}",
        label_names=label_names,
        multi_label=False,
        frame_interval_ms=corpora[1].info.frame_interval_ms,
        sample_rate_hz=corpora[0].info.sample_rate_hz,
        split_protocol=one_phrase(corpora),
        provenance={
            "mme2e": version("mme2e"),
            SOURCES: sources,
            "plan": asdict(plan),
            GROUPS: plain(groups),
            **({"settings": {"face": face}} if face else {}),
            KEY: key,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        counts={split: count for split, count in counts.items() if count},
        skipped=tuple(dict(zip(("item", "reason"), each.split(": ", 1), strict=True)) for each in lacking),
    )


def _summary(out: Path, info: CorpusInfo, *, already_done: bool) -> ComposeSummary:
    groups = from_plain(tuple[ComposedGroup, ...], info.provenance[GROUPS], name=f"'{GROUPS}' of {out}")
    lacking = tuple(f"{each['item']}: {each['reason']}" for each in info.skipped)
    return ComposeSummary(folder=out, counts=info.counts, groups=groups, lacking=lacking, already_done=already_done)

"""Merging prepared corpora: their tables, a row group at a time, with other names and labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mme2e import console
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.rows import digest
from mme2e.data.schema import SCHEMA_VERSION, CorpusInfo
from mme2e.errors import UserError
from mme2e.preparation.copying import (
    KEY,
    ShardWriter,
    face_settings,
    gathered,
    made_before,
    one_phrase,
    open_sources,
    whole_folder,
)
from mme2e.preparation.merge import MergedSource, MergeSummary
from mme2e.preparation.relabelling import Relabelling, with_column
from mme2e.preparation.writer import FOLDERS, file_name
from mme2e.records import from_plain, plain

MARK = "~"
"""Between the name of a corpus and an id, recording or speaker of it; file names may have it on every system."""

NAMED = ("id", "recording", "speaker")
"""Columns that begin with the name of their corpus."""

SOURCES = "merged from"
"""In `CorpusInfo.provenance`: a `MergedSource` for each corpus."""


@dataclass(frozen=True, kw_only=True)
class MergePlan:
    """How corpora are merged.

    Attributes:
        label_names: Labels in their order; None: those of all corpora, in the order in which they come.
        renamed: New label by old one.
        drop_unnamed: Whether utterances with other labels are left out rather than refused.
    """

    label_names: tuple[str, ...] | None = None
    renamed: dict[str, str]
    drop_unnamed: bool = False

    def labels_of(self, corpora: Sequence[Corpus]) -> tuple[str, ...]:
        """The labels of the merged corpus.

        Raises:
            UserError: A label is empty or given twice, or no corpus has one that is to be renamed.
        """
        known = dict.fromkeys(name for corpus in corpora for name in corpus.info.label_names)
        for old in self.renamed:
            if old not in known:
                raise UserError(
                    f"rename {old}={self.renamed[old]}: no corpus has that label; choose from {_words(known)}"
                )
        if self.label_names is None:
            return tuple(dict.fromkeys(self.renamed.get(name, name) for name in known))
        names = tuple(name.strip() for name in self.label_names)
        if "" in names or len(set(names)) < len(names):
            raise UserError(f"labels must be different names, as angry,happy,sad, not '{','.join(names)}'")
        return names


def merge_corpora(folders: Sequence[Path], out: Path, plan: MergePlan) -> MergeSummary:
    """Merges prepared corpora; see `mme2e.preparation.merge.merge`.

    Args:
        folders: Of the corpora.
        out: Folder of the merged one.
        plan: How.
    """
    corpora = open_sources(folders, out)
    names = _distinct_names(folders)
    label_names = plan.labels_of(corpora)
    content = [SCHEMA_VERSION, names, label_names, plain(plan), [corpus.fingerprint for corpus in corpora]]
    key = digest(["merge", content])
    already = made_before(out, key)
    if already is not None:
        return _summary(out, already, already_done=True)
    with whole_folder(out) as folder:
        merger = _Merger(folder, label_names, plan)
        for name, corpus in zip(names, corpora, strict=True):
            with console.waiting(f"merging {name}"):
                merger.add(name, corpus)
        info = merger.info(corpora, key)
        info.write(folder)
    return _summary(out, info, already_done=False)


class _Merger:
    """Copies the rows of one corpus after the other.

    Attributes:
        sources: What was copied.
    """

    def __init__(self, folder: Path, label_names: tuple[str, ...], plan: MergePlan) -> None:
        self.sources: list[MergedSource] = []
        self._folder, self._label_names, self._plan = folder, label_names, plan
        self._with_video: dict[str, Corpus] = {}
        self._is_single = True

    def add(self, name: str, corpus: Corpus) -> None:
        """Copies the rows of a corpus.

        Raises:
            UserError: A file is damaged, a label is not known, or the times between frames are not those of the corpora
                before.
        """
        relabelling = Relabelling(
            name,
            corpus.info.label_names,
            self._label_names,
            renamed=self._plan.renamed,
            drop_unnamed=self._plan.drop_unnamed,
        )
        counts: dict[str, int] = {}
        for split in corpus.splits:
            with ShardWriter(self._folder / split, f"{file_name(name)}-") as writer:
                for table in gathered(corpus.tables(split)):
                    kept = relabelling(_prefixed(table, name))
                    self._look_at(kept, name, corpus)
                    writer.add_table(kept)
                    counts[split] = counts.get(split, 0) + kept.num_rows
        known = {old: new for old, new in self._plan.renamed.items() if old in corpus.info.label_names}
        self.sources.append(
            MergedSource(
                name=name,
                corpus=corpus.info.name,
                fingerprint=corpus.fingerprint,
                counts={split: count for split, count in counts.items() if count},
                renamed=known,
                left_out=relabelling.left_out,
                left_out_labels=dict(sorted(relabelling.left_out_labels.items())),
            )
        )

    def info(self, corpora: Sequence[Corpus], key: str) -> CorpusInfo:
        """`corpus.json` of what was copied.

        Raises:
            UserError: Nothing was, or the sample rates differ.
        """
        counts: Counter[str] = Counter()
        for source in self.sources:
            counts.update(source.counts)
        if not counts:
            raise UserError(f"no utterance is left: none has only labels of {_words(self._label_names)}")
        rates = {corpus.info.sample_rate_hz for corpus in corpora}
        if len(rates) > 1:
            raise UserError(f"the corpora must have one sample rate, not {_words(map(str, sorted(rates)))} Hz")
        with_video = list(self._with_video.values())
        face = face_settings(with_video)
        return CorpusInfo(
            name=f"merged:{'+'.join(source.name for source in self.sources)}",
            label_names=self._label_names,
            multi_label=not self._is_single or any(corpus.info.multi_label for corpus in corpora),
            frame_interval_ms=(with_video or corpora)[0].info.frame_interval_ms,
            sample_rate_hz=corpora[0].info.sample_rate_hz,
            split_protocol=one_phrase(corpora),
            provenance={
                "mme2e": version("mme2e"),
                SOURCES: plain(self.sources),
                **({"settings": {"face": face}} if face else {}),
                "notes": [] if face or not with_video else [_faces_differ(list(self._with_video))],
                KEY: key,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            counts={split: counts[split] for split in FOLDERS if counts[split]},
            skipped=(
                *(
                    {"item": f"{source.name}{MARK}{each['item']}", "reason": each["reason"]}
                    for source, corpus in zip(self.sources, corpora, strict=True)
                    for each in corpus.info.skipped
                ),
                *(
                    {"item": source.name, "reason": f"label '{label}' is none of the labels: {count} utterances"}
                    for source in self.sources
                    for label, count in source.left_out_labels.items()
                ),
            ),
        )

    def _look_at(self, table: pa.Table, name: str, corpus: Corpus) -> None:
        """Notes whether the rows have video and one label each."""
        self._is_single &= bool(pc.all(pc.equal(pc.list_value_length(table["labels"]), 1), min_count=0).as_py())
        if name in self._with_video or not pc.sum(pc.list_value_length(table["face_flags"])).as_py():
            return
        here = corpus.info.frame_interval_ms
        for other, before in self._with_video.items():
            if before.info.frame_interval_ms != here:
                raise UserError(
                    f"the corpora must have one time between frames: {other} has {before.info.frame_interval_ms} ms, "
                    f"{name} {here} ms; prepare one of them again with --frame-interval-ms"
                )
        self._with_video[name] = corpus


def _prefixed(table: pa.Table, name: str) -> pa.Table:
    for column in NAMED:
        table = with_column(table, column, pc.binary_join_element_wise(f"{name}{MARK}", table[column], ""))
    return table


def _distinct_names(folders: Sequence[Path]) -> list[str]:
    """The names of the folders.

    Raises:
        UserError: Two are the same, one has the mark in it, or there is none.
    """
    names = [folder.resolve().name for folder in folders]
    if not names:
        raise UserError("no corpus is given; expected is at least one")
    for name, folder in zip(names, folders, strict=True):
        if names.count(name) > 1:
            raise UserError(f"two of the corpora are called '{name}'; expected are folders of different names")
        if not name or MARK in name:
            raise UserError(f"the folder of a corpus must have a name without '{MARK}': {folder}")
    return names


def _faces_differ(names: Sequence[str]) -> str:
    return (
        f"how faces were found differs, or is not known, between {_words(names)}: runs that are trained here find "
        "faces with the default settings"
    )


def _summary(out: Path, info: CorpusInfo, *, already_done: bool) -> MergeSummary:
    corpus = load_corpus(out)
    sources = from_plain(tuple[MergedSource, ...], info.provenance[SOURCES], name=f"'{SOURCES}' of {out}")
    label_counts = {
        split: Counter(pc.list_flatten(corpus.columns(split, ["labels"])["labels"]).to_pylist())
        for split in corpus.splits
    }
    notes = info.provenance["notes"]
    return MergeSummary(
        folder=out,
        sources=sources,
        label_names=info.label_names,
        counts=info.counts,
        label_counts={split: dict(counts) for split, counts in label_counts.items()},
        notes=tuple(notes) if isinstance(notes, list) else (),
        already_done=already_done,
    )


def _words(names: Iterable[str]) -> str:
    return ", ".join(names)

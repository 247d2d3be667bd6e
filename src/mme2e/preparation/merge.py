"""`merge`: one prepared corpus with the utterances of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mme2e.errors import UserError
from mme2e.report import Part, Result, Table


@dataclass(frozen=True, kw_only=True)
class MergedSource:
    """One of the corpora that were merged.

    Attributes:
        name: Of its folder: what its ids, recordings and speakers begin with, before `mme2e.preparation.merging.MARK`.
        corpus: As its own `corpus.json` calls it.
        fingerprint: See `mme2e.data.corpus.Corpus.fingerprint`.
        counts: Utterances of it, by split.
        renamed: Its labels that were renamed: new name by old one.
        left_out: How many utterances were left out because of a label.
        left_out_labels: How many by label; one with several such labels counts for each.
    """

    name: str
    corpus: str
    fingerprint: str
    counts: dict[str, int]
    renamed: dict[str, str]
    left_out: int
    left_out_labels: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class MergeSummary(Result):
    """What `merge` did.

    Attributes:
        folder: The prepared corpus.
        sources: What it is made of.
        label_names: Its labels.
        counts: Utterances by split.
        label_counts: Utterances with each label, by split.
        notes: What else its user should know.
        already_done: Whether an earlier call had made the very same corpus.
    """

    folder: Path
    sources: tuple[MergedSource, ...]
    label_names: tuple[str, ...]
    counts: dict[str, int]
    label_counts: dict[str, dict[str, int]]
    notes: tuple[str, ...] = ()
    already_done: bool = False

    def report(self) -> list[Part]:
        """For the screen."""
        splits = list(self.counts)
        sources = [
            (each.name, *(str(each.counts.get(split, 0)) for split in splits), str(each.left_out))
            for each in self.sources
        ]
        labels = [
            (label, *(str(self.label_counts[split].get(label, 0)) for split in splits)) for label in self.label_names
        ]
        parts: list[Part] = [
            Table(title=f"merged corpus {self.folder}", heads=["corpus", *splits, "left out"], rows=sources),
            Table(title="utterances", heads=["label", *splits], rows=labels),
        ]
        for each in self.sources:
            for label, count in each.left_out_labels.items():
                parts.append(f"left out: {count} utterances of {each.name} with the label '{label}'")
        parts += self.notes
        return [*parts, "nothing to do: it was merged before"] if self.already_done else parts


def merge(
    corpus: Sequence[str] | Sequence[Path],
    *,
    out: str | Path,
    labels: str | tuple[str, ...] | None = None,
    rename: Sequence[str] | Mapping[str, str] = (),
    drop_unnamed: bool = False,
) -> MergeSummary:
    """Puts the utterances of several prepared corpora into one.

    Ids, recordings and speakers begin with the name of the corpus' folder and a tilde, as ravdess~03-01-05, so that
    nothing collides and everything can be traced back. Splits stay as they are. The folder appears whole or not at
    all.

    Args:
        corpus: Prepared corpora, in folders of different names.
        out: Folder of the merged corpus; new, empty, or of an earlier call with the same corpora and options.
        labels: The labels and their order, as angry,disgust,fear; those of all corpora, in the order in which they
            come, when not given.
        rename: Labels to rename, as happiness=happy; two labels may become one.
        drop_unnamed: Leave out utterances with a label that is not in labels, and count them; they are refused
            otherwise.

    Raises:
        UserError: A corpus is missing or damaged; two have folders of one name, or different times between their
            frames; a label is given twice, renamed twice or unknown; an utterance has a label that is not in `labels`;
            `out` holds something else, is one of the corpora, or is being written by another process.
    """
    from mme2e.preparation.merging import MergePlan, merge_corpora

    if isinstance(corpus, str | Path):
        corpus = [str(corpus)]
    names = None if labels is None else tuple(labels.split(",") if isinstance(labels, str) else labels)
    plan = MergePlan(label_names=names, renamed=_renamed(rename), drop_unnamed=drop_unnamed)
    return merge_corpora([Path(folder) for folder in corpus], Path(out), plan)


def _renamed(rename: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """New label by old one."""
    if isinstance(rename, Mapping):
        return dict(rename)
    renamed: dict[str, str] = {}
    for word in [rename] if isinstance(rename, str) else rename:
        old, mark, new = (part.strip() for part in word.partition("="))
        if not (old and mark and new):
            raise UserError(f"rename must be OLD=NEW, as happiness=happy, not '{word}'")
        if old in renamed:
            raise UserError(f"rename must have each label once; '{old}' is renamed to '{renamed[old]}' and '{new}'")
        renamed[old] = new
    return renamed

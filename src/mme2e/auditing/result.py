"""What an audit found, as one object."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mme2e.report import Part, Result
from mme2e.scores.overlap import Leakage


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How long utterances are, in seconds.

    Attributes:
        total_s: Of all of them together.
        mean_s, median_s: Of one.
        lower_quartile_s, upper_quartile_s: A quarter of them is shorter, a quarter longer.
        shortest_s, longest_s: The extremes.
    """

    total_s: float
    mean_s: float
    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    shortest_s: float
    longest_s: float

    @classmethod
    def of(cls, seconds: np.ndarray) -> "Durations | None":
        """Of (utterances,) durations; None where there are none."""
        if len(seconds) == 0:
            return None
        shortest, lower, median, upper, longest = (float(value) for value in np.percentile(seconds, range(0, 101, 25)))
        return cls(
            total_s=float(seconds.sum()),
            mean_s=float(seconds.mean()),
            median_s=median,
            lower_quartile_s=lower,
            upper_quartile_s=upper,
            shortest_s=shortest,
            longest_s=longest,
        )


@dataclass(frozen=True, kw_only=True)
class SplitAudit:
    """One split, or all of them together.

    Attributes:
        name: "train", "valid", "test", "unassigned", or "all".
        utterances: Number of rows.
        recordings, speakers: Number of different ones.
        positives: Utterances with each emotion, in the order of the label names.
        unlabelled: Utterances without any emotion.
        co_occurrence: Utterances with both emotions, (emotions, emotions); the diagonal holds `positives`.
        durations: In seconds; None without utterances.
        words: Words of all transcripts, cut at spaces.
        frames: Sampled frames.
        frames_with_face: Those in which a face was seen.
        no_text: Utterances without transcript.
        no_audio: Utterances without audio.
        no_face: Utterances in none of whose frames a face was seen, or without frames.
        face_share: Share of the frames in which a face was seen, in [0, 1]; None without frames.
    """

    name: str
    utterances: int
    recordings: int
    speakers: int
    positives: tuple[int, ...]
    unlabelled: int
    co_occurrence: tuple[tuple[int, ...], ...]
    durations: Durations | None
    words: int
    frames: int
    frames_with_face: int
    no_text: int
    no_audio: int
    no_face: int
    face_share: float | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "face_share", self.frames_with_face / self.frames if self.frames else None)


@dataclass(frozen=True, kw_only=True)
class SkippedGroup:
    """Utterances, lines and files that were left out, or kept without a modality, for one reason.

    Attributes:
        reason: With an ellipsis where names and numbers differ.
        count: How many.
        example: The first of them.
    """

    reason: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Audit(Result):
    """What a prepared corpus holds and what speaks against trusting scores on it.

    Attributes:
        corpus: Name and fingerprint.
        split_protocol: How it was split, one phrase.
        label_names: Emotions, in the order of all values per emotion.
        multi_label: Whether an utterance may have none or several emotions.
        splits: train, valid and test, also when they are empty; unassigned only when it is not.
        all: The splits together.
        published: Utterances by split in the published lists of this corpus; empty for corpora without.
        leakages: What test shares with train, valid with train, and test with valid.
        recordings_shared_by_design: Whether the split protocol shares recordings between train and test.
        skipped: What preparation left out or kept without a modality, the most frequent reason first. An item with
            two reasons counts in both.
        findings: Anything that a reader of scores should know, one line each.
        leaks: Whether train and test share a recording although the split protocol does not say so.
    """

    corpus: str
    split_protocol: str
    label_names: tuple[str, ...]
    multi_label: bool
    splits: tuple[SplitAudit, ...]
    all: SplitAudit
    published: dict[str, int]
    leakages: tuple[Leakage, ...]
    recordings_shared_by_design: bool
    skipped: tuple[SkippedGroup, ...]
    findings: tuple[str, ...]
    leaks: bool = field(init=False)

    def __post_init__(self) -> None:
        leaks = self.leakages[0].recordings.shared > 0 and not self.recordings_shared_by_design
        object.__setattr__(self, "leaks", leaks)

    @property
    def complete(self) -> bool:
        """Whether no recording is where it must not be."""
        return not self.leaks

    def report(self) -> Iterator[Part]:
        """For the screen."""
        from mme2e.auditing.report import audit_parts

        return audit_parts(self)

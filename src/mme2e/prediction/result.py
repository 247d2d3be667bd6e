"""What `predict` returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mme2e.inference.timeline import Segment, Timeline
from mme2e.report import Part, Result, Table
from mme2e.text_files import printable

MOST_ROWS = 200
"""Segments that a table on the screen shows."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A recording that has no answer.

    Attributes:
        source: Its file.
        reason: Why, in one line.
    """

    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Predictions(Result):
    """The answers about one or more recordings.

    Attributes:
        timelines: Of the recordings, in order; empty where many were written to files and not kept in memory.
        rows: A row of the summary for each recording that was analysed.
        failed: Recordings without an answer.
        folder: Where the answers were written; None where nowhere.
        files: What was written by this call.
        already: How many recordings an earlier call had done.
    """

    timelines: tuple[Timeline, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    failed: tuple[Failed, ...] = ()
    folder: Path | None = None
    files: tuple[Path, ...] = ()
    already: int = 0

    @property
    def timeline(self) -> Timeline:
        """That of a single recording.

        Raises:
            ValueError: There are none or several.
        """
        if len(self.timelines) != 1:
            raise ValueError(f"there are {len(self.timelines)} timelines, not one")
        return self.timelines[0]

    @property
    def complete(self) -> bool:
        """Whether every recording has an answer."""
        return not self.failed

    def report(self) -> Iterator[Part]:
        """For the screen."""
        for timeline in self.timelines:
            yield from timeline_report(timeline)
        if not self.timelines and self.rows:
            yield _summary_table(self.rows)
        for failed in self.failed:
            yield f"failed: {failed.source}: {failed.reason}"
        if self.already:
            yield f"{self.already} {'recording was' if self.already == 1 else 'recordings were'} done before"
        if self.folder is not None:
            names = [path.name for path in self.files]
            shown = ", ".join(names) if len(names) <= 6 else f"{len(names)} files"
            yield printable(f"written to {self.folder}: {shown}" if names else f"nothing new to write to {self.folder}")
        elif self.files:
            yield printable("written: " + ", ".join(map(str, self.files)))


def timeline_report(timeline: Timeline) -> Iterator[Part]:
    """A timeline for the screen: one segment in full, several as a table."""
    if len(timeline.segments) == 1:
        yield from _one_segment(timeline, timeline.segments[0])
    else:
        yield _segments_table(timeline)
        if len(timeline.segments) > MOST_ROWS:
            yield f"and {len(timeline.segments) - MOST_ROWS} more segments: --out FOLDER writes all"
        uncertain = sum(segment.uncertain for segment in timeline.segments)
        if uncertain:
            yield f"uncertain: in {uncertain} of {len(timeline.segments)} segments no emotion is probable enough"
    if timeline.words_from:
        yield f"words: {timeline.words_from}"
    yield from (f"note: {note}" for note in timeline.notes)
    if not timeline.complete:
        yield "the recording was not analysed to its end"
    yield f"model: {timeline.model.name}"
    yield "seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in timeline.seconds.items())


def _one_segment(timeline: Timeline, segment: Segment) -> Iterator[Part]:
    yield Table(
        title=f"{timeline.source}  {segment.start_s:.1f} s to {segment.end_s:.1f} s",
        heads=["emotion", "probability", "threshold", "decision"],
        rows=[
            [
                emotion.name,
                f"{emotion.probability:.2f}",
                "" if emotion.threshold is None else f"{emotion.threshold:.2f}",
                "present" if emotion.present else "",
            ]
            for emotion in sorted(segment.emotions, key=lambda each: -each.probability)
        ],
    )
    if segment.uncertain:
        yield "uncertain: no emotion is probable enough for a decision"
    rests = ", ".join(segment.used) or "nothing"
    yield f"rests on {rests}; a face in {segment.frames_with_face} of {segment.frames} frames"
    yield from (f"without {modality}: {reason}" for modality, reason in segment.missing.items())
    if segment.flags:
        yield f"quality: {', '.join(segment.flags)}"
    yield from (f"note: {note}" for note in segment.notes)
    if segment.evidence is not None:
        yield from _evidence(segment)


def _evidence(segment: Segment) -> Iterator[Part]:
    evidence = segment.evidence
    assert evidence is not None
    for modality, probability in evidence.without.items():
        yield f"{evidence.emotion} without {modality}: {probability:.2f} instead of {evidence.probability:.2f}"
    words = sorted(evidence.words, key=lambda word: -abs(word.effect))[:5]
    if words:
        yield "words: " + ", ".join(f"{word.text} {word.effect:+.2f}" for word in words)
    if evidence.moments:
        yield "moments: " + ", ".join(
            f"{moment.modality} {moment.start_s:.1f} s {moment.effect:+.2f}" for moment in evidence.moments
        )


def segment_line(segment: Segment) -> str:
    """A segment in one line."""
    top = segment.top
    answer = segment.decision if top is None else f"{segment.decision} ({top.name} {top.probability:.2f})"
    parts = [f"{clock(segment.start_s)} - {clock(segment.end_s)}", segment.speaker or segment.person or "-", answer]
    return "  ".join([*parts, segment.text or f"[{segment.kind}]"])


def _segments_table(timeline: Timeline) -> Table:
    names = {person.id: person.name for person in timeline.people}
    rows = []
    for segment in timeline.segments[:MOST_ROWS]:
        top = segment.top
        rows.append(
            [
                clock(segment.start_s),
                clock(segment.end_s),
                names.get(segment.person or "", "") or segment.speaker or segment.person or "",
                segment.decision,
                "" if top is None else f"{top.name} {top.probability:.2f}",
                "".join(name[0] for name in segment.used),
                segment.text or f"[{segment.kind}]",
            ]
        )
    title = f"{timeline.source}  {clock(timeline.duration_s)}, {len(timeline.people)} people"
    return Table(title=title, heads=["start", "end", "person", "decision", "most probable", "from", "words"], rows=rows)


def _summary_table(rows: tuple[dict[str, Any], ...]) -> Table:
    return Table(
        title="recordings",
        heads=["recording", "length", "people", "segments", "most often"],
        rows=[
            [str(row["source"]), clock(row["duration_s"]), str(row["people"]), str(row["segments"]), row["most_often"]]
            for row in rows[:MOST_ROWS]
        ],
    )


def clock(time_s: float) -> str:
    """Seconds as m:ss.s or h:mm:ss.s."""
    tenths = round(time_s * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{seconds}" if hours else seconds


def summary_row(timeline: Timeline) -> dict[str, Any]:
    """A row of the summary: how long each emotion was decided for, in seconds."""
    answered = [segment for segment in timeline.segments if segment.emotions]
    lengths = dict.fromkeys(timeline.label_names, 0.0)
    for segment in answered:
        for name in segment.decided:
            lengths[name] += segment.end_s - segment.start_s
    longest = max(lengths, key=lambda name: lengths[name])
    return {
        "source": timeline.source,
        "duration_s": timeline.duration_s,
        "people": len(timeline.people),
        "segments": len(timeline.segments),
        "answered": len(answered),
        "uncertain": sum(segment.uncertain for segment in answered),
        "most_often": longest if lengths[longest] else "",
        **{f"seconds_{name}": round(length_s, 3) for name, length_s in lengths.items()},
        "complete": timeline.complete,
        "notes": "; ".join(timeline.notes),
    }

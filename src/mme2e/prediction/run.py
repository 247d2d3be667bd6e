"""What `predict` does: mistakes first, then one recording with its progress, or many."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mme2e import console
from mme2e.config import AnalysisSettings
from mme2e.errors import UserError
from mme2e.inference.refusals import check_picture, check_selects, require_recordings
from mme2e.inference.request import OnGroup, Request
from mme2e.inference.result import check_writable
from mme2e.inference.timeline import Segment, Timeline
from mme2e.locking import locked
from mme2e.media.recording import Interval
from mme2e.media.region import Region, parse_region
from mme2e.prediction.journal import PartialJournal, add_done, read_done
from mme2e.prediction.many import Outcome, Task, Worker, kept_timeline, run_all, tasks_of
from mme2e.prediction.outputs import check_formats, check_output, write_output, write_summary
from mme2e.prediction.recordings import Recording, find_recordings
from mme2e.prediction.result import Failed, Predictions, segment_line, summary_row
from mme2e.runs.confidence import check_abstain
from mme2e.runs.info import read_info
from mme2e.runs.starter import find_run
from mme2e.scheduling.cores import a_core_for_the_decoder
from mme2e.transcripts.given import given_transcript
from mme2e.transcripts.turns import read_turns

LOCK_FILE = ".mme2e.lock"
Outcomes = Generator[Outcome, None, None]

MOST_KEPT = 20
"""Timelines of several recordings that a call keeps in memory; of more, their files are enough."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Arguments of `mme2e.predict`, except the recordings."""

    run: str
    transcript: str | None
    turns: Path | None
    asr: str | None
    no_sidecars: bool
    out: Path | None
    formats: tuple[str, ...]
    annotate: Path | None
    picture: Path | None
    stream: bool
    start_s: float
    end_s: float | None
    region: str | Region | None
    audio_channel: int | None
    channel_per_speaker: bool
    video_track: int | None
    audio_track: int | None
    abstain: float | None
    engine: Literal["local", "ray"]
    jobs: int
    ray_address: str | None
    device: str
    settings: AnalysisSettings

    @property
    def to_file(self) -> bool:
        """Whether `out` is a file: it has the suffix of a format, and no folder is there."""
        return self.out is not None and bool(self.out.suffix) and not self.out.is_dir()


def run_predict(given: Sequence[str | Path], call: Call) -> Predictions:
    """Does what `mme2e.predict` does, with its errors."""
    _check(call)
    formats = tuple(dict.fromkeys(("json", *check_formats(call.formats))))
    info = read_info(find_run(call.run))
    require_recordings(info)
    if call.picture is not None:
        check_selects(info.model.name)
    recordings = find_recordings(given)
    if len(recordings) > 1:
        _check_for_many(call, len(recordings))
    request = _request(call)
    with a_core_for_the_decoder():
        if len(recordings) == 1 and call.engine == "local" and (call.out is None or call.to_file):
            return _one(recordings[0], request, call)
        if call.out is None:
            return _each_on_screen(recordings, request, call)
        return _into_folder(recordings, request, call, formats, info.weights_sha256)


def _check(call: Call) -> None:
    """Refuses arguments that are wrong whatever the recordings are.

    Raises:
        UserError: One is, or two contradict each other.
    """
    if call.abstain is not None:
        check_abstain(call.abstain)
    if call.jobs < 1:
        raise UserError(f"jobs must be 1 or more, not {call.jobs}")
    if not call.start_s >= 0 or (call.end_s is not None and not call.end_s > call.start_s):
        raise UserError(
            f"start_s {call.start_s} and end_s {call.end_s} are not a stretch of time: 0 <= start_s < end_s"
        )
    if isinstance(call.region, str):
        parse_region(call.region)
    if call.to_file:
        assert call.out is not None
        check_writable(call.out)
        check_output(call.out)
    if call.picture is not None:
        check_picture(call.picture)
        if call.settings.segments not in ("auto", "whole"):
            raise UserError("--picture shows one utterance: it requires --segments whole")
        if call.engine != "local" or (call.out is not None and not call.to_file):
            raise UserError("--picture is drawn of one recording: without --out, or with --out FILE")
    if call.annotate is not None:
        check_writable(call.annotate)
    if call.channel_per_speaker and call.audio_channel is not None:
        raise UserError("--channel-per-speaker reads all channels; --audio-channel reads one")


def _check_for_many(call: Call, count: int) -> None:
    """Refuses what is about a single recording.

    Raises:
        UserError: Something is.
    """
    single = {
        "transcript": call.transcript,
        "turns": call.turns,
        "annotate": call.annotate,
        "picture": call.picture,
    }
    for name, value in single.items():
        if value is not None:
            raise UserError(f"--{name} is for a single recording, and there are {count}")
    if call.to_file:
        raise UserError(f"--out {call.out} is a file, and there are {count} recordings: give a folder")


def _request(call: Call) -> Request:
    """How the recordings are analysed.

    Raises:
        UserError: Transcript or turns cannot be read.
    """
    settings = call.settings if call.picture is None else replace(call.settings, segments="whole")
    region = parse_region(call.region) if isinstance(call.region, str) else call.region
    return Request(
        settings=settings,
        interval=Interval(start_s=call.start_s, end_s=call.end_s, region=region, audio_channel=call.audio_channel),
        video_track=call.video_track,
        audio_track=call.audio_track,
        channel_per_speaker=call.channel_per_speaker,
        transcript=None if call.transcript is None else given_transcript(call.transcript),
        turns=() if call.turns is None else read_turns(call.turns),
        look_for_words=not call.no_sidecars,
    )


def _worker(request: Request, call: Call, folder: Path, formats: tuple[str, ...]) -> Worker:
    return Worker(
        run=call.run,
        device=call.device,
        abstain=call.abstain,
        request=request,
        asr=call.asr,
        folder=folder,
        formats=formats,
    )


def _one(recording: Recording, request: Request, call: Call) -> Predictions:
    """A single recording, for the screen or into one file."""
    from mme2e.inference.analyse import analyse, whole, words_of

    recognizer, asr = _worker(request, call, Path(), ()).loaded()
    if call.picture is not None:
        words = words_of(recognizer, recording.path, request)
        timeline = whole(recognizer, recording.path, request, words, asr, picture=call.picture)
    else:
        with _shown(recording, call) as on_group:
            timeline = analyse(recognizer, recording.path, request, asr=asr, on_group=on_group)
    files = []
    if call.out is not None:
        write_output(timeline, call.out, recording.path)
        files.append(call.out)
    if call.picture is not None:
        files.append(call.picture)
    files += _annotated(timeline, recording.path, call)
    return Predictions(timelines=(timeline,), rows=(summary_row(timeline),), files=tuple(files))


def _annotated(timeline: Timeline, recording: Path, call: Call) -> list[Path]:
    if call.annotate is None:
        return []
    from mme2e.writers.video import annotate

    with console.progress(only_on_terminals=True) as shown:
        bar = shown.add_task("annotated video", total=max(1.0, timeline.duration_s))
        annotate(timeline, recording, call.annotate, progress=lambda time_s: shown.update(bar, completed=time_s))
    return [call.annotate]


def _each_on_screen(recordings: Sequence[Recording], request: Request, call: Call) -> Predictions:
    """Several recordings without a folder: their tables, as far as memory is concerned a few."""
    if len(recordings) > MOST_KEPT or call.engine == "ray" or call.jobs > 1:
        raise UserError(f"{len(recordings)} recordings require --out FOLDER, where their answers are kept")
    from mme2e.inference.analyse import analyse

    recognizer, asr = _worker(request, call, Path(), ()).loaded()
    timelines, failed = [], []
    for recording in recordings:
        try:
            with _shown(recording, call) as on_group:
                timelines.append(analyse(recognizer, recording.path, request, asr=asr, on_group=on_group))
        except UserError as error:
            failed.append(Failed(source=str(recording.path), reason=" ".join(str(error).split())))
    rows = tuple(summary_row(timeline) for timeline in timelines)
    return Predictions(timelines=tuple(timelines), rows=rows, failed=tuple(failed))


def _into_folder(
    recordings: Sequence[Recording], request: Request, call: Call, formats: tuple[str, ...], weights: str
) -> Predictions:
    folder = call.out
    assert folder is not None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise UserError(f"{folder} cannot be written")
        with locked(
            folder / LOCK_FILE, f"another process writes to {folder}: wait for its end, or give another folder"
        ):
            return _do_all(recordings, request, call, folder, formats, weights)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; what was finished is kept in {folder}; the same command goes on"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}); what was finished is kept: make room, then call "
            "again"
        ) from error


def _do_all(
    recordings: Sequence[Recording],
    request: Request,
    call: Call,
    folder: Path,
    formats: tuple[str, ...],
    weights: str,
) -> Predictions:
    worker = _worker(request, call, folder.absolute(), formats)
    tasks = tasks_of(recordings, request, worker, weights)
    known = read_done(folder)
    done = {task.name: known[task.name] for task in tasks if task.name in known and known[task.name].key == task.key}
    todo = [task for task in tasks if task.name not in done]
    failed: list[Failed] = []
    files: list[Path] = []
    already = len(done)
    if len(recordings) == 1 and call.engine == "local":
        outcomes = _alone(worker, todo, call, recordings)
    else:
        outcomes = _counted(worker, todo, call, total=len(tasks), before=already)
    with closing(outcomes):  # before the lock is released
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                failed.append(outcome)
            else:
                add_done(folder, outcome)
                PartialJournal(folder, outcome.name, outcome.key).remove()
                done[outcome.name] = outcome
                files += [folder / file for file in outcome.files]
    if len(recordings) == 1 and failed:
        raise UserError(failed[0].reason)
    rows = tuple(done[task.name].row for task in tasks if task.name in done)
    if len(recordings) > 1 and rows:
        files += write_summary(rows, folder)
    timelines: tuple[Timeline, ...] = ()
    if len(recordings) == 1:
        timelines = (kept_timeline(folder, tasks[0].name),)
        files += _annotated(timelines[0], recordings[0].path, call)
    return Predictions(
        timelines=timelines, rows=rows, failed=tuple(failed), folder=folder, files=tuple(files), already=already
    )


def _alone(worker: Worker, todo: Sequence[Task], call: Call, recordings: Sequence[Recording]) -> Outcomes:
    for task in todo:
        recognizer, asr = worker.loaded()
        with _shown(recordings[0], call) as on_group:
            yield worker.attempt(task, recognizer, asr, on_group)


def _counted(worker: Worker, todo: Sequence[Task], call: Call, *, total: int, before: int) -> Outcomes:
    with console.progress("{task.fields[last]}") as shown:
        bar = shown.add_task("recordings", total=total, completed=before, last="")
        with closing(run_all(worker, todo, call.engine, call.jobs, call.ray_address)) as outcomes:
            for outcome in outcomes:
                name = outcome.source if isinstance(outcome, Failed) else outcome.name
                shown.update(bar, advance=1, last=Path(name).name)
                yield outcome


@contextmanager
def _shown(recording: Recording, call: Call) -> Iterator[OnGroup]:
    """Progress over the seconds of a recording, and its segments where they are to be printed."""
    with console.progress(only_on_terminals=True) as shown:
        bar = shown.add_task(recording.path.name, total=None)

        def on_group(group: tuple[Segment, ...], reached_s: float, claimed_s: float | None) -> None:
            shown.update(bar, completed=round(reached_s), total=None if not claimed_s else max(reached_s, claimed_s))
            if call.stream:
                console.show(*map(segment_line, group))

        yield on_group

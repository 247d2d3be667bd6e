"""Preparation: how long it takes, how much it writes, and what that makes for the whole of IEMOCAP and CMU-MOSEI.

Recordings of 2 minutes like those of either corpus, from the generated sample, are

- prepared by one process, stage by stage, in turn with the reference's way; of the one in two forms, with key frames
  as FFmpeg sets them by default and with one in 10 seconds only, since what need not be decoded depends on them;
- prepared 60 at a time by one job, by two, and by two on a Ray cluster of this machine; a job has one thread.

The reference's way is, of all that the reference does, only this: every frame of every recording is decoded once and
becomes an RGB array, of which both people are parts, as in its notebooks; the frames that ours samples, too, of the one
who speaks, go one by one through its face detector. This is this package's reference setting, which gives the boxes of
facenet-pytorch in 0.7 to 0.8 of facenet-pytorch's time (one thread, a frame of 224x224, 480x360, 640x360: 44, 57 and
57 ms against 64, 78 and 74). Not counted against it: images of all frames that are written and read again, sound, and
that it searches every frame afresh in every epoch. Ours is counted in full, to the corpus that can be trained on.

Run: ``python benchmarks/prepare.py [forms] [jobs] [ray] [quick]``; without a part, all of them. Writes
`results/prepare.json` and `results/prepare.md`, with the last run of the parts that are not run; quick, to try it out,
prints only.
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import torch
from av.video.reformatter import VideoReformatter
from fe2e import processor
from recordings import Layout, Recordings

from mme2e.config import FaceSettings, PrepareSettings
from mme2e.corpora.utterance import RawCorpus
from mme2e.environment import environment
from mme2e.faces.detector import FaceDetector
from mme2e.faces.tracker import FaceTracker
from mme2e.media.region import Region
from mme2e.media.video import Frame, cut_region, frame_times, probe
from mme2e.perception.stopwatch import Stopwatch
from mme2e.preparation.corpus import prepare_corpus

RESULTS = Path(__file__).parent / "results"
QUICK = "quick" in sys.argv[1:]
VIDEO_S, ROUNDS, RECORDINGS = (8.0, 1, 4) if QUICK else (120.0, 3, 60)
STAGES = ("decode", "to rgb", "faces", "audio", "encode", "write")
INTERVAL_MS = 500
READ_GB_PER_S = 0.1
"""Of a disk or network that the raw corpus lies on, for the projection."""
FORMS: dict[str, tuple[Layout, int | None]] = {
    "iemocap": ("iemocap", None),
    "mosei": ("mosei", None),
    "iemocap, few key frames": ("iemocap", 300),
}
"""Kinds of recordings: layout, and frames from one key frame to the next."""
WHOLE = {"iemocap": (12, 16.5), "mosei": (65, 120)}
"""Hours of video and gigabytes of the raw corpora."""
MOST_BYTES_PER_S = 2 * 48 * 48 * 3 + 2 * 16000
"""Of a prepared corpus whose crops and sound cannot be compressed at all."""

Row = dict[str, float]


def ours(corpus: RawCorpus, out: Path) -> Row:
    """Seconds by stage and bytes, each for a second of video; one process, one torch thread."""
    summary = prepare_corpus(corpus, out, PrepareSettings(frame_interval_ms=INTERVAL_MS), source="generated")
    assert summary.failed == 0, summary.skipped
    row = {stage: seconds / summary.video_s for stage, seconds in summary.stage_s.items()}
    return {**row, "all": summary.elapsed_s / summary.video_s, "bytes": tree_bytes(out) / summary.video_s}


def reference_way(corpus: RawCorpus, tracker: FaceTracker) -> Row:
    """Seconds by stage for a second of video: all frames of a recording once, and the sampled ones' faces."""
    stopwatch, seconds = Stopwatch(), 0.0
    wanted: dict[Path, list[tuple[float, Region | None]]] = defaultdict(list)
    for utterance in corpus.utterances:
        assert utterance.video is not None
        assert utterance.end_s is not None
        seconds += utterance.end_s - utterance.start_s
        times_s = frame_times(utterance.start_s, utterance.end_s, INTERVAL_MS)
        wanted[utterance.video] += [(time_s, utterance.region) for time_s in times_s]
    for video, times in wanted.items():
        times.sort(key=lambda time: time[0])
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            converter = VideoReformatter()
            for frame in stopwatch.each("decode", container.decode(stream)):
                with stopwatch.stage("to rgb"):
                    whole = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                while times and times[0][0] <= (frame.time or 0.0) + 1e-6:
                    time_s, region = times.pop(0)
                    picture = cut_region(whole, region, video)
                    with stopwatch.stage("faces"):
                        list(tracker.crops([Frame(time_s=time_s, requested_s=time_s, image=picture)]))
        assert not times, f"{len(times)} frames were not reached"
    row = {stage: s / seconds for stage, s in stopwatch.seconds.items()}
    return {**row, "all": sum(row.values())}


def compare(folder: Path, form: str) -> dict[str, Row]:
    """Both ways in turn; medians over the rounds."""
    recordings = recordings_of(folder, form)
    reference = FaceTracker(FaceDetector(FaceSettings(mode="reference")))
    ours(recordings.corpus(4.0), folder / "warm-up" / form)
    reference_way(recordings.corpus(4.0), reference)
    corpus = recordings.corpus(VIDEO_S)
    turns = [(ours(corpus, folder / f"{form}{i}"), reference_way(corpus, reference)) for i in range(ROUNDS)]
    return {name: median([turn[i] for turn in turns]) for i, name in enumerate(("ours", "reference"))}


def recordings_of(folder: Path, form: str) -> Recordings:
    layout, key_spacing = FORMS[form]
    return Recordings(folder / form, layout, key_spacing)


def picture(folder: Path, form: str) -> str:
    """What the recordings are like, in words."""
    recordings = recordings_of(folder, form)
    video = recordings.corpus(VIDEO_S).utterances[0].video
    assert video is not None
    info, codec = probe(video), recordings.codec
    return f"{info.width_px}x{info.height_px} {codec.name} with a key frame every {codec.key_spacing} frames"


def median(rows: list[Row]) -> Row:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def at_once(folder: Path, other: str, settings: PrepareSettings) -> Row:
    """Wall-clock seconds for a second of video with everything that starting workers takes: of one job, and so."""
    corpus = recordings_of(folder, "iemocap").corpus(VIDEO_S, recordings=RECORDINGS)
    rows: list[Row] = []
    for number in range(1 if QUICK else 2):
        rows.append({})
        for name, chosen in (("1 job", PrepareSettings()), (other, settings)):
            summary = prepare_corpus(corpus, folder / f"{name} {number}", chosen, source="generated")
            assert summary.done == len(corpus.utterances), summary.skipped
            rows[-1][name] = summary.elapsed_s / summary.video_s
    return median(rows)


def forms(folder: Path) -> dict[str, Any]:
    compared = {}
    for form in FORMS:
        compared[form] = compare(folder, form)
        print(form, compared[form], file=sys.stderr)
    return {"s_per_s": compared, "pictures": "; ".join(f"{form}: {picture(folder, form)}" for form in compared)}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "forms": forms,
    "jobs": lambda folder: {"s_per_s": at_once(folder, "2 jobs", PrepareSettings(jobs=2))},
    "ray": lambda folder: {"s_per_s": at_once(folder, "2 jobs, ray", PrepareSettings(jobs=2, engine="ray"))},
}


def tree_bytes(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def projection(compared: dict[str, dict[str, Row]], by_jobs: Row) -> str:
    """Table of hours and gigabytes for the whole corpora."""
    lines = [
        "| corpus | cores | hours of work | hours of reading 100 MB/s | GB at this rate | GB at most |",
        "|" + "---|" * 6,
    ]
    per_core = 2 * by_jobs["2 jobs"] / by_jobs["1 job"]  # what a second job costs the first
    for layout, (hours, raw_gb) in WHOLE.items():
        ours_row = compared[layout]["ours"]
        gigabytes = hours * 3600 * ours_row["bytes"] / 1e9
        most = hours * 3600 * MOST_BYTES_PER_S / 1e9
        for cores in (2, 64):
            work_h = hours * ours_row["all"] * per_core / cores
            read_h = raw_gb / READ_GB_PER_S / 3600
            lines.append(f"| {layout} | {cores} | {work_h:.2f} | {read_h:.2f} | {gigabytes:.2f} | {most:.1f} |")
    return "\n".join(lines)


def report(parts: dict[str, dict[str, Any]]) -> str:
    compared: dict[str, dict[str, Row]] = parts["forms"]["s_per_s"]
    lines = ["| like | way | " + " | ".join(STAGES) + " | all | times faster |", "|" + "---|" * (len(STAGES) + 4)]
    for form, ways in compared.items():
        for way, row in ways.items():
            cells = " | ".join(f"{1000 * row[stage]:.2f}" if stage in row else "" for stage in STAGES)
            faster = ways["reference"]["all"] / row["all"]
            lines.append(f"| {form} | {way} | {cells} | {1000 * row['all']:.2f} | {faster:.1f} |")
    lines += ["", "| work at once | ms a second of video | times faster |", "|---|---|---|"]
    for part in ("jobs", "ray"):
        seconds: Row = parts[part]["s_per_s"] if part in parts else {}
        lines += [f"| {name} | {1000 * s:.2f} | {seconds['1 job'] / s:.2f} |" for name, s in seconds.items()]
    note = (
        "First table: ms for a second of video, one process, one torch thread; recordings of "
        f"{VIDEO_S:g} s at 30 frames a second ({parts['forms']['pictures']}), turns of 4 s, of two people in iemocap; "
        f"a frame sampled every {INTERVAL_MS} ms. Median of {ROUNDS} turns. The reference's way: all frames decoded "
        "and turned into RGB arrays, the sampled ones searched for faces; ours 'decode' has what it needs of both, and "
        f"'all' the start of the program, too.\nSecond table: {RECORDINGS} recordings like iemocap, with the start of "
        "the workers.\n'GB at most': crops and sound that cannot be compressed. A corpus takes the longer of work and "
        "reading.\n"
    )
    for part, result in parts.items():
        facts = result["facts"]
        note += (
            f"{part}: {facts['processor']}, load {facts['load']:.1f} before; torch {facts['packages']['torch']}, "
            f"Python {facts['python']}, commit {facts['git_commit']}; {facts['date']}.\n"
        )
    return "\n".join(["# Preparation", "", *lines, "", projection(compared, parts["jobs"]["s_per_s"]), "", note])


def main() -> None:
    chosen = [name for name in PARTS if name in sys.argv[1:]] or list(PARTS)
    if importlib.util.find_spec("ray") is None:
        chosen.remove("ray")
    stored = RESULTS / "prepare.json"
    parts = json.loads(stored.read_text()) if stored.exists() else {}
    torch.set_num_threads(1)
    for name in chosen:
        facts = {"load": os.getloadavg()[0], "processor": processor(), "date": time.strftime("%Y-%m-%d")}
        with tempfile.TemporaryDirectory() as temporary:
            parts[name] = {**PARTS[name](Path(temporary)), "facts": {**facts, **environment()}}
    text = report(parts)
    print(text)
    if not QUICK:
        RESULTS.mkdir(exist_ok=True)
        stored.write_text(json.dumps(parts, indent=2) + "\n")
        (RESULTS / "prepare.md").write_text(text)


if __name__ == "__main__":
    main()

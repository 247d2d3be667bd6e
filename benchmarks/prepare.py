"""Preparation: how long it takes, how much it writes, and what that makes for the whole of IEMOCAP and CMU-MOSEI.

Recordings of 2 minutes like those of either corpus, from the generated sample, are

- prepared by one process, stage by stage, in turn with the reference's way;
- prepared 24 at a time by one job, by two, and by two on a Ray cluster of this machine; a job has one thread.

The reference's way is, of all that the reference does, only this: every frame of every recording is decoded once and
becomes an RGB array, of which both people are parts, as in its notebooks; the frames that ours samples, too, of the one
who speaks, go one by one through its face detector. This is this package's reference setting, which gives the boxes of
facenet-pytorch in 0.7 to 0.8 of facenet-pytorch's time (one thread, a frame of 224x224, 480x360, 640x360: 44, 57 and
57 ms against 64, 78 and 74). Not counted against it: images of all frames that are written and read again, sound, and
that it searches every frame afresh in every epoch. Ours is counted in full, to the corpus that can be trained on.

Run: ``python benchmarks/prepare.py [quick]``. Writes `results/prepare.json` and `results/prepare.md`; quick, to try it
out, prints only.
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import av
import torch
from av.video.reformatter import VideoReformatter
from fe2e import processor
from recordings import CODECS, Layout, Recordings

from mme2e.config import FaceSettings, PrepareSettings
from mme2e.corpora.utterance import RawCorpus, Region
from mme2e.faces import FaceDetector, FaceTracker
from mme2e.media import Frame, cut_region, frame_times, probe
from mme2e.prepare import prepare_corpus
from mme2e.prepare.stopwatch import Stopwatch
from mme2e.training.model_card import environment

RESULTS = Path(__file__).parent / "results"
QUICK = "quick" in sys.argv[1:]
VIDEO_S, ROUNDS, RECORDINGS = (8.0, 1, 4) if QUICK else (120.0, 3, 24)
STAGES = ("decode", "to rgb", "faces", "audio", "encode", "write")
INTERVAL_MS = 500
READ_GB_PER_S = 0.1
"""Of a disk or network that the raw corpus lies on, for the projection."""
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


def compare(folder: Path, layout: Layout) -> dict[str, Row]:
    """Both ways in turn; medians over the rounds."""
    recordings = Recordings(folder / layout, layout)
    reference = FaceTracker(FaceDetector(FaceSettings(mode="reference")))
    ours(recordings.corpus(4.0), folder / "warm-up" / layout)
    reference_way(recordings.corpus(4.0), reference)
    corpus = recordings.corpus(VIDEO_S)
    turns = [(ours(corpus, folder / f"{layout}{i}"), reference_way(corpus, reference)) for i in range(ROUNDS)]
    return {name: median([turn[i] for turn in turns]) for i, name in enumerate(("ours", "reference"))}


def picture(folder: Path, layout: Layout) -> str:
    """What the recordings are like, in words."""
    corpus = Recordings(folder / layout, layout).corpus(VIDEO_S)
    assert corpus.utterances[0].video is not None
    info = probe(corpus.utterances[0].video)
    return f"{info.width_px}x{info.height_px} {CODECS[layout].name}"


def median(rows: list[Row]) -> Row:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def jobs(folder: Path) -> Row:
    """Wall-clock seconds for a second of video, with everything that starting the workers takes."""
    corpus = Recordings(folder / "iemocap", "iemocap").corpus(VIDEO_S, recordings=RECORDINGS)
    engines: dict[str, dict[str, Any]] = {"1 job": {}, "2 jobs": {"jobs": 2}}
    if importlib.util.find_spec("ray") is not None:
        engines["2 jobs, ray"] = {"jobs": 2, "engine": "ray"}
    rows: list[Row] = []
    for number in range(1 if QUICK else 2):
        rows.append({})
        for name, settings in engines.items():
            out = folder / f"{name} {number}"
            summary = prepare_corpus(corpus, out, PrepareSettings(**settings), source="generated")
            assert summary.done == len(corpus.utterances), summary.skipped
            rows[-1][name] = summary.elapsed_s / summary.video_s
    return median(rows)


def tree_bytes(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def projection(compared: dict[str, dict[str, Row]], by_jobs: Row) -> str:
    """Table of hours and gigabytes for the whole corpora."""
    lines = [
        "| corpus | cores | hours of work | hours of reading 100 MB/s | GB at this rate | GB at most |",
        "|" + "---|" * 6,
    ]
    per_core = 2 * by_jobs["2 jobs"] / compared["iemocap"]["ours"]["all"]  # what a second job costs the first
    for layout, (hours, raw_gb) in WHOLE.items():
        ours_row = compared[layout]["ours"]
        gigabytes = hours * 3600 * ours_row["bytes"] / 1e9
        most = hours * 3600 * MOST_BYTES_PER_S / 1e9
        for cores in (2, 64):
            work_h = hours * ours_row["all"] * per_core / cores
            read_h = raw_gb / READ_GB_PER_S / 3600
            lines.append(f"| {layout} | {cores} | {work_h:.2f} | {read_h:.2f} | {gigabytes:.2f} | {most:.1f} |")
    return "\n".join(lines)


def report(compared: dict[str, dict[str, Row]], by_jobs: Row, facts: dict[str, Any]) -> str:
    lines = ["| like | way | " + " | ".join(STAGES) + " | all | times faster |", "|" + "---|" * (len(STAGES) + 4)]
    for layout, ways in compared.items():
        for way, row in ways.items():
            cells = " | ".join(f"{1000 * row[stage]:.2f}" if stage in row else "" for stage in STAGES)
            faster = ways["reference"]["all"] / row["all"]
            lines.append(f"| {layout} | {way} | {cells} | {1000 * row['all']:.2f} | {faster:.1f} |")
    lines += ["", "| work at once | ms a second of video | times faster |", "|---|---|---|"]
    lines += [f"| {name} | {1000 * s:.2f} | {by_jobs['1 job'] / s:.2f} |" for name, s in by_jobs.items()]
    note = (
        "First table: ms for a second of video, one process, one torch thread; recordings of "
        f"{VIDEO_S:g} s at 30 frames a second ({facts['pictures']}), turns of 4 s, of two people in iemocap; a frame "
        f"sampled every {INTERVAL_MS} ms. Median of {ROUNDS} turns. The reference's way: all frames decoded and turned "
        "into RGB arrays, the sampled ones searched for faces; ours 'decode' has what it needs of both, and 'all' the "
        "start of the program, too.\nSecond table: {RECORDINGS} recordings like "
        "iemocap, with the start of the workers.\n'GB at most': crops and sound that cannot be compressed. A corpus "
        "takes the longer of work and reading.\n"
        f"{facts['processor']}, load {facts['load']:.1f} before; torch {facts['packages']['torch']}, "
        f"Python {facts['python']}, commit {facts['git_commit']}; {facts['date']}."
    )
    return "\n".join(["# Preparation", "", *lines, "", projection(compared, by_jobs), "", note, ""])


def main() -> None:
    facts = {"load": os.getloadavg()[0], "processor": processor(), "date": time.strftime("%Y-%m-%d")}
    facts.update(json.loads(environment()))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        compared = {}
        for layout in get_args(Layout):
            compared[layout] = compare(folder, layout)
            print(layout, compared[layout], file=sys.stderr)
        facts["pictures"] = ", ".join(f"{layout} {picture(folder, layout)}" for layout in compared)
        by_jobs = jobs(folder)
    text = report(compared, by_jobs, facts)
    print(text)
    if not QUICK:
        RESULTS.mkdir(exist_ok=True)
        result = {"s_per_s": compared, "jobs": by_jobs, "facts": facts}
        (RESULTS / "prepare.json").write_text(json.dumps(result, indent=2) + "\n")
        (RESULTS / "prepare.md").write_text(text)


if __name__ == "__main__":
    main()

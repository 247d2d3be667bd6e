"""Seconds a frame and faces found: the default setting of the face detector against the reference's.

    python benchmarks/faces.py [CLIP ...]

Clips default to ../shared/media. Every clip is read twice: sampled every 500 ms, and every frame (at most `MOST_FRAMES`
of them). The reference setting searches frame by frame; the default setting follows a face with the tracker. Both
make the 48 px crops. The two take turns, and the median of the turns counts, so that other work on the machine does
not favour one. Writes benchmarks/results/faces.json and faces.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from mme2e.atomic import write_text
from mme2e.config import FaceSettings
from mme2e.faces.detector import FaceDetector
from mme2e.faces.face_crop import FaceCrop
from mme2e.faces.tracker import FaceTracker
from mme2e.media.video import Frame, sample_frames

RESULTS = Path(__file__).parent / "results"
DEFAULT_CLIPS = Path(__file__).resolve().parents[2] / "shared" / "media"
SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm"}
TURNS = 3
MOST_FRAMES = 48


@dataclass(frozen=True, kw_only=True)
class Row:
    """One clip, read one way."""

    clip: str
    frames_read: str
    frames: int
    reference_ms: float
    default_ms: float
    speedup: float
    reference_faces: int
    default_faces: int
    missed: int
    added: int


def read(clip: Path, *, every_frame: bool) -> list[Frame]:
    if not every_frame:
        return list(sample_frames(clip, 500))
    frames: list[Frame] = []
    for frame in sample_frames(clip, 10):
        if not frames or frame.time_s > frames[-1].time_s:
            frames.append(frame)
    step = -(-len(frames) // MOST_FRAMES)
    # Stretches of neighbouring frames from all over the clip, rather than a thinned clip.
    return [frame for i, frame in enumerate(frames) if (i // 24) % step == 0]


def timed(tracker: FaceTracker, frames: list[Frame]) -> tuple[float, list[FaceCrop]]:
    start = time.perf_counter()
    crops = list(tracker.crops(frames))
    return time.perf_counter() - start, crops


def compare(clip: Path, reference: FaceTracker, default: FaceTracker, *, every_frame: bool) -> Row:
    frames = read(clip, every_frame=every_frame)
    turns = [(timed(reference, frames), timed(default, frames)) for _ in range(TURNS)]
    reference_s, default_s = (statistics.median(turn[i][0] for turn in turns) for i in (0, 1))
    wanted, found = ([crop.flag.has_face for crop in turns[0][i][1]] for i in (0, 1))
    return Row(
        clip=clip.name,
        frames_read="all" if every_frame else "500 ms",
        frames=len(frames),
        reference_ms=1000 * reference_s / len(frames),
        default_ms=1000 * default_s / len(frames),
        speedup=reference_s / default_s,
        reference_faces=sum(wanted),
        default_faces=sum(found),
        missed=sum(w and not f for w, f in zip(wanted, found, strict=True)),
        added=sum(f and not w for w, f in zip(wanted, found, strict=True)),
    )


def total(rows: list[Row], frames_read: str) -> Row:
    rows = [row for row in rows if row.frames_read == frames_read]
    frames = sum(row.frames for row in rows)
    reference_ms = sum(row.reference_ms * row.frames for row in rows) / frames
    default_ms = sum(row.default_ms * row.frames for row in rows) / frames
    counts = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("reference_faces", "default_faces", "missed", "added")
    }
    return Row(
        clip="all clips",
        frames_read=frames_read,
        frames=frames,
        reference_ms=reference_ms,
        default_ms=default_ms,
        speedup=reference_ms / default_ms,
        **counts,
    )


def environment() -> dict[str, str | int]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "av": version("av"),
        "commit": commit.stdout.strip(),
    }


def as_markdown(rows: list[Row], machine: dict[str, str | int]) -> str:
    head = [
        "clip",
        "frames",
        "number",
        "reference ms",
        "default ms",
        "times faster",
        "faces: reference",
        "default",
        "missed",
        "added",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append(
            f"| {row.clip} | {row.frames_read} | {row.frames} | {row.reference_ms:.1f} | {row.default_ms:.1f} "
            f"| {row.speedup:.1f} | {row.reference_faces} | {row.default_faces} | {row.missed} | {row.added} |"
        )
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    if float(machine["load"]) > int(machine["cores"]):
        facts += ". The machine was busy with other work: times are too long, and the ratio is uncertain"
    return "\n".join(
        [
            "# Faces: default setting against the reference setting, frame by frame",
            "",
            f"Median of {TURNS} turns, milliseconds a frame. {facts}.",
            "",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    clips = parser.parse_args().clips or sorted(p for p in DEFAULT_CLIPS.glob("*") if p.suffix in SUFFIXES)
    if not clips:
        print(f"skipped: no clips given, and none in {DEFAULT_CLIPS}")
        return
    reference = FaceTracker(FaceDetector(FaceSettings(mode="reference")))
    default = FaceTracker(FaceDetector(FaceSettings()))
    timed(reference, read(clips[0], every_frame=False)[:3])  # warm up
    timed(default, read(clips[0], every_frame=False)[:3])
    machine = environment()
    rows = [compare(clip, reference, default, every_frame=every) for every in (False, True) for clip in clips]
    rows += [total(rows, "500 ms"), total(rows, "all")]
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({"environment": machine, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
    for name, text in (("faces.json", content), ("faces.md", as_markdown(rows, machine))):
        write_text(RESULTS / name, text)
    print(as_markdown(rows, machine))


if __name__ == "__main__":
    main()

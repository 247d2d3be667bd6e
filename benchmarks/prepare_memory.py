"""Preparation: the peak memory of a worker, from a clip of 5 seconds to an hour of video.

Each recording is prepared in a process of its own, as a worker does. The hour comes with a few utterances spread over
it, with turns of 4 seconds from beginning to end, and as one single utterance.
Run: ``python benchmarks/prepare_memory.py [minutes]``. Writes `results/prepare_memory.json` and `.md`.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fe2e import processor
from recordings import Recordings

from mme2e.config import PrepareSettings
from mme2e.environment import environment
from mme2e.preparation.corpus import prepare_corpus

RESULTS = Path(__file__).parent / "results"
MINUTES = 60
LIMIT_MB = 1536
MB = 1 << 20


def cases(minutes: int) -> dict[str, tuple[float, list[tuple[float, float]] | None]]:
    """Length in seconds and utterances (None: turns of 4 s) by name."""
    long_s = minutes * 60.0
    spread = [(start_s, start_s + 4) for start_s in (i * long_s / 10 for i in range(10))]
    return {
        "5 s, one utterance": (5.0, [(0.0, 5.0)]),
        f"{minutes} min, 10 utterances of 4 s": (long_s, spread),
        f"{minutes} min, turns of 4 s throughout": (long_s, None),
        f"{minutes} min, one utterance": (long_s, [(0.0, long_s)]),
    }


def peak_mb() -> float:
    """Of this process alone; what `getrusage` tells may be that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB  # bytes on macOS


def measure(folder: Path, name: str, minutes: int) -> dict[str, float]:
    """Prepares one recording in this process."""
    seconds, intervals_s = cases(minutes)[name]
    corpus = Recordings(folder, "iemocap").corpus(seconds, intervals_s=intervals_s)
    out = folder / f"out {name}"
    summary = prepare_corpus(corpus, out, PrepareSettings(), source="generated")
    assert summary.failed == 0, summary.skipped
    return {"frames": summary.frames, "elapsed_s": round(summary.elapsed_s, 1), "peak_mb": round(peak_mb(), 1)}


def main() -> None:
    if len(sys.argv) == 4:
        print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
        return
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    runs = {}
    with tempfile.TemporaryDirectory() as temporary:
        recordings = Recordings(Path(temporary), "iemocap")
        for name, (seconds, intervals_s) in cases(minutes).items():
            recordings.corpus(seconds, intervals_s=intervals_s)  # written here, not while memory is measured
            command = [sys.executable, __file__, temporary, name, str(minutes)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            runs[name] = json.loads(done.stdout)
    result = {"runs": runs, "processor": processor(), "date": time.strftime("%Y-%m-%d"), **environment()}
    lines = [f"| {name} | {run['frames']} | {run['peak_mb']:.0f} |\n" for name, run in runs.items()]
    note = (
        f"720x480 at 30 frames a second with stereo sound; a frame sampled every 500 ms. Wanted: below {LIMIT_MB} MB.\n"
        f"{result['processor']}; torch {result['packages']['torch']}, Python {result['python']}, "
        f"commit {result['git_commit']}; {result['date']}.\n"
    )
    table = "| recording | sampled frames | peak MB |\n|---|---|---|\n" + "".join(lines)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "prepare_memory.json").write_text(json.dumps(result, indent=2) + "\n")
    (RESULTS / "prepare_memory.md").write_text(f"# Preparation: peak memory of a worker\n\n{table}\n{note}")
    print(table)


if __name__ == "__main__":
    main()

"""The starter: how soon it answers, and what it says over the course of a clip.

    python benchmarks/starter.py [CLIP ...]

Clips default to ../shared/media. For each clip: seconds of a cold start (a process of its own, from the command to its
end, beside those of `import torch` alone), seconds of the model's forward pass, and the probabilities over windows of
two seconds, one a second. Writes benchmarks/results/starter.json, starter.md and starter_windows.png.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import mme2e
from mme2e.atomic import replacing, write_text
from mme2e.environment import environment

RESULTS = Path(__file__).parent / "results"
DEFAULT_CLIPS = Path(__file__).resolve().parents[2] / "shared" / "media"
SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".wav"}
WINDOW_S, STEP_S, LONGEST_S = 2.0, 1.0, 30.0
ROUNDS = 3


def seconds_of(*words: str) -> float:
    """Wall-clock seconds of a process of this interpreter, median of the rounds."""
    taken = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        subprocess.run([sys.executable, *words], check=False, capture_output=True)  # noqa: S603
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken)


def windows(recognizer: mme2e.Recognizer, clip: Path) -> list[dict[str, Any]]:
    """What the model says of each window; none where nothing can be recognised."""
    whole = recognizer.perceive(clip)
    end_s = min(whole.covered_to_s, LONGEST_S)
    found = []
    start_s = 0.0
    while start_s < end_s:
        try:
            result = recognizer.predict(clip, start_s=start_s, end_s=min(start_s + WINDOW_S, end_s))
        except mme2e.UserError:  # no face and no audio in it
            start_s += STEP_S
            continue
        probabilities = {emotion.name: round(emotion.probability, 3) for emotion in result.emotions}
        found.append({"start_s": start_s, "top": result.top.name, "uncertain": result.uncertain, **probabilities})
        start_s += STEP_S
    return found


def draw(courses: dict[str, list[dict[str, Any]]], names: tuple[str, ...], path: Path) -> None:
    """A panel a clip: probability over time, a line an emotion."""
    shown = {clip: course for clip, course in courses.items() if course}
    figure = Figure(figsize=(9, 2.4 * max(1, len(shown))), layout="constrained")
    for axes, (clip, course) in zip(
        figure.subplots(max(1, len(shown)), squeeze=False)[:, 0], shown.items(), strict=False
    ):
        times = [window["start_s"] + WINDOW_S / 2 for window in course]
        for name in names:
            axes.plot(times, [window[name] for window in course], marker="o", markersize=3, label=name)
        axes.set(title=clip, ylim=(0, 1), ylabel="probability", xlabel="middle of the window, s")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    clips = parser.parse_args().clips or sorted(path for path in DEFAULT_CLIPS.glob("*") if path.suffix in SUFFIXES)
    if not clips:
        print(f"skipped: no clips given, and none in {DEFAULT_CLIPS}")
        return
    torch_s = seconds_of("-c", "import torch")
    recognizer = mme2e.load()
    rows, courses = [], {}
    for clip in clips:
        try:
            result = recognizer.predict(clip)
        except mme2e.UserError as error:
            rows.append({"clip": clip.name, "answer": str(error)})
            continue
        cold_s = seconds_of("-m", "mme2e", "predict", str(clip))
        forward_s = statistics.median(recognizer.predict(clip).seconds["model"] for _ in range(ROUNDS))
        courses[clip.name] = windows(recognizer, clip)
        answer = "uncertain" if result.uncertain else result.top.name
        rows.append(
            {
                "clip": clip.name,
                "answer": f"{answer} {result.top.probability:.2f}",
                "length_s": round(result.end_s - result.start_s, 1),
                "cold_start_s": round(cold_s, 2),
                "beyond_torch_s": round(cold_s - torch_s, 2),
                "forward_s": round(forward_s, 3),
                "tops": sorted({window["top"] for window in courses[clip.name]}),
            }
        )
    machine = environment()
    heads = ["clip", "answer", "length_s", "cold_start_s", "beyond_torch_s", "forward_s", "tops"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [", ".join(value) if isinstance(value := row.get(head, ""), list) else str(value) for head in heads]
        lines.append("| " + " | ".join(cells) + " |")
    text = "\n".join(
        [
            "# The starter on clips",
            "",
            f"Cold start: the command from its start to its end, median of {ROUNDS}; `import torch` alone takes "
            f"{torch_s:.2f} s. Windows of {WINDOW_S:g} s, one every {STEP_S:g} s.",
            "",
            *lines,
            "",
            "![Probabilities over the clips](starter_windows.png)",
            "",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({"environment": machine, "torch_s": torch_s, "rows": rows, "windows": courses}, indent=2)
    write_text(RESULTS / "starter.json", content + "\n")
    write_text(RESULTS / "starter.md", text)
    draw(courses, recognizer.info.label_names, RESULTS / "starter_windows.png")
    print(text)


if __name__ == "__main__":
    main()

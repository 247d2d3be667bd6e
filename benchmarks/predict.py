"""Prediction on a recording of ten minutes: how long it takes, against another version of this package.

A clip of a face is repeated to ten minutes (packets are only copied). A process of each version loads a full-width FE2E
with random weights, answers once on the clip to be warm, and then once on the ten minutes, in turn with the other
version, so that whatever else the machine does falls on both. Loading and imports are not counted.

Run: ``python benchmarks/predict.py CLIP [BASELINE_SRC]``; without the folder `src` of another version it measures this
one alone. Writes `results/predict.json` and `results/predict.md`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av

from mme2e.environment import environment

RESULTS = Path(__file__).parent / "results"
LENGTH_S = 600
ROUNDS = 3

ONE_VERSION = """
import json, sys, time
from pathlib import Path
import torch
import mme2e
from mme2e.config import ModelSettings, TextSettings
from mme2e.models import build_model
from mme2e.runs.folder import RunInfo, save_run
from mme2e.text import load_text

clip, recording, folder = sys.argv[1:]
settings = ModelSettings(text=TextSettings(model="scratch", vocab_size=60))
text = load_text(settings.text, texts=["it was a furious lovely gloomy day"])
torch.manual_seed(0)
model = build_model(settings, num_emotions=6, text_encoder=text.encoder)
info = RunInfo(model=settings, label_names=tuple("abcdef"), multi_label=True)
save_run(Path(folder), model=model, tokenizer=text.tokenizer, info=info)
recognizer = mme2e.load(folder, device="cpu")
recognizer.predict(clip, transcript="a lovely day")
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    result = recognizer.predict(recording, transcript="a lovely day")
    row = {"all": time.perf_counter() - began, **result.seconds}
    told = {"frames": result.frames, "frames_with_face": result.frames_with_face, "end_s": result.end_s}
    print(json.dumps({"seconds": row, **told}), flush=True)
"""


def repeat(clip: Path, out: Path, length_s: float) -> None:
    """Copies a clip's packets until there is enough."""
    began_s = 0.0
    with av.open(str(out), "w") as written:
        with av.open(str(clip)) as container:
            tracks = [stream for stream in container.streams if stream.type in ("video", "audio")]
            streams = {stream.index: written.add_stream_from_template(stream) for stream in tracks}
            clip_s = (container.duration or 0) / av.time_base
        while began_s < length_s:
            with av.open(str(clip)) as container:
                for packet in container.demux([container.streams[index] for index in streams]):
                    if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                        ticks = round(began_s / packet.time_base)
                        packet.dts, packet.pts = packet.dts + ticks, packet.pts + ticks
                        packet.stream = streams[packet.stream.index]
                        written.mux(packet)
            began_s += clip_s


class Version:
    """A process that answers with one version of the package."""

    def __init__(self, source: Path, clip: Path, recording: Path, folder: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", ONE_VERSION, str(clip), str(recording), str(folder)],
            env={**os.environ, "PYTHONPATH": str(source)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process of a version ended")
        return line

    def answer(self) -> dict[str, Any]:
        """Predicts once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Measures and writes the table."""
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit("usage: python benchmarks/predict.py CLIP [BASELINE_SRC]")
    clip = Path(sys.argv[1])
    sources = {"this version": Path(__file__).parents[1] / "src"}
    if len(sys.argv) == 3:
        sources = {"baseline": Path(sys.argv[2]).resolve(), **sources}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    with tempfile.TemporaryDirectory() as temporary:
        recording = Path(temporary) / f"recording{clip.suffix}"
        repeat(clip, recording, LENGTH_S)
        versions = {name: Version(source, clip, recording, Path(temporary) / name) for name, source in sources.items()}
        for _ in range(ROUNDS):
            for name, version in versions.items():
                rounds[name].append(version.answer())
                print(name, json.dumps(rounds[name][-1]), flush=True)
        for version in versions.values():
            version.close()
    lines = table(rounds, clip.name)
    (RESULTS / "predict.json").write_text(json.dumps({"rounds": rounds, "environment": environment()}, indent=2) + "\n")
    (RESULTS / "predict.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def table(rounds: dict[str, list[dict[str, Any]]], clip: str) -> list[str]:
    """Medians by stage, and how the versions compare, in lines of Markdown."""
    stages = list(dict.fromkeys(stage for answers in rounds.values() for stage in answers[0]["seconds"]))
    lines = [f"# Prediction on {LENGTH_S} s of {clip}, repeated", ""]
    lines.append(f"| seconds, median of {ROUNDS} | {' | '.join(stages)} | frames | end |")
    lines.append("|---" * (len(stages) + 3) + "|")
    for name, answers in rounds.items():
        medians = (statistics.median(each["seconds"].get(stage, 0.0) for each in answers) for stage in stages)
        cells = " | ".join(f"{seconds:.2f}" for seconds in medians)
        lines.append(f"| {name} | {cells} | {answers[0]['frames']} | {answers[0]['end_s']:.2f} s |")
    if len(rounds) == 2:
        for what, without in (("all", 0), ("all but the model", 1)):
            ratios = [
                (new["all"] - without * new["model"]) / (old["all"] - without * old["model"])
                for old, new in zip(
                    *([each["seconds"] for each in answers] for answers in rounds.values()), strict=True
                )
            ]
            turns = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            lines += [
                "",
                f"This version takes {statistics.median(ratios):.2f} of the baseline's time for {what} ({turns}).",
            ]
    return lines


if __name__ == "__main__":
    main()

"""How fast, and in how much memory, a long recording becomes a timeline; and how soon the first answer is there.

    python benchmarks/timeline.py CLIPS SPEECH [MINUTES ...]

The recording is made of the pictures of the clips of a folder, scaled to 640 x 360 at 25 frames a second, H.264, one
after the other until it is long enough, and of the audio files of another folder, AAC. A transcript with a sentence
every four seconds lies beside it. Each row is one call of `mme2e predict` in a process of its own. Rows of other
lengths that were measured before are kept.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from mme2e.atomic import write_text
from mme2e.environment import environment

RESULTS = Path(__file__).parent / "results"

WIDTH, HEIGHT, RATE = 640, 360, 25
AUDIO_RATE, BLOCK = 16000, 1024
SENTENCES = (
    "I did not expect that at all, what a surprise.",
    "We were so happy when the letter came.",
    "They told us nothing, and that made me angry.",
    "It is on the second shelf behind the door.",
    "I miss her every single day.",
)


def encode(clips: list[Path], speech: list[Path], out: Path, length_s: float) -> None:
    """Writes the pictures of clips and the audio of others, again and again, until they are long enough."""
    with av.open(str(out), "w") as target:
        video = target.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = target.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        sounds = cycle(speech)
        heard = np.zeros(0, np.float32)
        frames = samples = 0
        for clip in cycle(clips):
            first = frames
            with av.open(str(clip)) as source:
                for picture in source.decode(video=0):
                    while frames - first <= (picture.time or 0) * RATE and frames < length_s * RATE:
                        shown = picture.reformat(WIDTH, HEIGHT, "yuv420p")
                        shown.pts, shown.time_base = frames, Fraction(1, RATE)
                        target.mux(video.encode(shown))
                        frames += 1
            while samples + BLOCK <= frames / RATE * AUDIO_RATE:
                while len(heard) < BLOCK:
                    heard = np.concatenate([heard, samples_of(next(sounds))])
                block = av.AudioFrame.from_ndarray(heard[None, :BLOCK], "fltp", "mono")
                block.sample_rate, block.pts, block.time_base = AUDIO_RATE, samples, Fraction(1, AUDIO_RATE)
                target.mux(audio.encode(block))
                heard, samples = heard[BLOCK:], samples + BLOCK
            if frames >= length_s * RATE:
                break
        target.mux(video.encode(None))
        target.mux(audio.encode(None))


def samples_of(clip: Path) -> np.ndarray:
    """(samples,) float32 of its audio, 16 kHz mono."""
    with av.open(str(clip)) as source:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=AUDIO_RATE)
        pieces = [piece for frame in source.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def repeat(recording: Path, out: Path, times: int) -> None:
    """Writes a recording several times in a row, packet by packet."""
    with av.open(str(out), "w") as target:
        offset_s = Fraction(0)
        streams = {}
        for _ in range(times):
            end_s = offset_s
            with av.open(str(recording)) as source:
                for stream in source.streams:
                    if stream.index not in streams:
                        streams[stream.index] = target.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    base, shift = packet.time_base, round(offset_s / packet.time_base)
                    end_s = max(end_s, offset_s + (packet.pts + (packet.duration or 0)) * base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
            offset_s = end_s + Fraction(1, 5)  # frames that are shown out of order are decoded before they are shown


def write_transcript(out: Path, length_s: float) -> None:
    """A sentence every four seconds."""

    def clock(time_s: float) -> str:
        whole = int(time_s)
        return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{int(time_s % 1 * 1000):03d}"

    cues = [
        f"{number + 1}\n{clock(4 * number)} --> {clock(4 * number + 3.6)}\n{SENTENCES[number % len(SENTENCES)]}\n"
        for number in range(int(length_s / 4))
    ]
    out.write_text("\n".join(cues), encoding="utf-8")


def measure(words: list[str]) -> dict[str, float]:
    """Seconds, seconds to the first line, and the most memory of all its processes together."""
    began_s = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "mme2e", *words], stdout=subprocess.PIPE, text=True
    )
    most = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        me = psutil.Process(process.pid)
        while not ended.wait(0.1):
            try:
                most = max(most, sum(each.memory_info().rss for each in (me, *me.children(recursive=True))))
            except psutil.NoSuchProcess:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    assert process.stdout is not None
    first_s = 0.0
    for line in process.stdout:
        if not first_s and " - " in line:
            first_s = time.perf_counter() - began_s
    status = process.wait()
    ended.set()
    thread.join()
    if status != 0:
        raise SystemExit(f"mme2e {' '.join(words)} ended with {status}")
    return {"seconds": time.perf_counter() - began_s, "first_s": first_s, "megabytes": most / 1e6}


def import_torch_s() -> float:
    """Seconds of a process that imports torch and nothing else."""
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began_s


def main() -> None:
    """Measures, and writes benchmarks/results/timeline.*."""
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    media, speech_folder = map(Path, sys.argv[1:3])
    minutes = [float(word) for word in sys.argv[3:]] or [10.0, 120.0]
    speech = sorted(speech_folder.glob("*.flac"))[:400:2] or sorted(speech_folder.glob("*.wav"))
    clips = sorted(path for path in media.iterdir() if path.suffix in (".mp4", ".mov") and "no_face" not in path.name)
    torch_s = min(import_torch_s() for _ in range(3))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("MME2E_SCRATCH")) as scratch:
        ten = Path(scratch) / "ten.mp4"
        encode(clips, speech, ten, 600)
        for length in minutes:
            recording = ten
            if length != 10:
                recording = Path(scratch) / f"{length:g}.mp4"
                if length > 10:
                    repeat(ten, recording, round(length / 10))
                else:
                    encode(clips, speech, recording, 60 * length)
            transcript = Path(scratch) / f"{recording.stem}.srt"
            write_transcript(transcript, 60 * length)
            ways = {"people followed": ["--transcript", str(transcript), "--formats", "json"]}
            if length <= 10:
                ways["people followed, no transcript"] = ["--no-sidecars", "--formats", "json"]
                ways["evidence, report, annotated video"] = [
                    *("--transcript", str(transcript), "--evidence", "true", "--formats", "json", "html"),
                    *("--annotate", str(Path(scratch) / "annotated.mp4")),
                ]
            for name, options in ways.items():
                out = Path(scratch) / f"out {length:g} {name}"
                found = measure(["predict", str(recording), "--stream", "--out", str(out), *options])
                seconds = found["seconds"] - torch_s
                report = next(out.glob("*.html"), None)
                rows.append(
                    {
                        "minutes": length,
                        "what": name,
                        "seconds": round(seconds, 1),
                        "times real time": round(60 * length / seconds, 1),
                        "first answer, s": round(found["first_s"] - torch_s, 1),
                        "peak memory, MB": round(found["megabytes"]),
                        "report, MB": None if report is None else round(report.stat().st_size / 1e6, 2),
                    }
                )
                print(rows[-1], flush=True)
    earlier = RESULTS / "timeline.json"
    if earlier.exists():  # other lengths that were measured before
        rows = [row for row in json.loads(earlier.read_text())["rows"] if row["minutes"] not in minutes] + rows
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join("" if row[head] is None else str(row[head]) for head in heads) + " |" for row in rows]
    text = "\n".join(
        [
            "# Timelines of long recordings",
            "",
            "640 x 360, 25 frames a second, H.264 and AAC; a sentence of the transcript every four seconds. A row is "
            f"one call of `mme2e predict` in a process of its own, less the {torch_s:.1f} s of `import torch`. Memory "
            "is that of all its processes together.",
            "",
            *lines,
            "",
        ]
    )
    write_text(RESULTS / "timeline.md", text)
    content = json.dumps({"environment": environment(), "torch_s": torch_s, "rows": rows}, indent=2)
    write_text(RESULTS / "timeline.json", content + "\n")


if __name__ == "__main__":
    main()

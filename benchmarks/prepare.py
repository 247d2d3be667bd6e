"""Preparation: stages one by one, and the peak memory of a worker for a short and for a long video.

A dialogue of the generated sample corpus, re-encoded at 30 frames a second, is repeated to 1 and to 10 minutes; its two
speakers take turns of 4 seconds. Each length is prepared in a process of its own with one job, and once more with its
decoding and face finding alone, to show what reading both speakers' halves one after the other costs.
Run: ``python benchmarks/prepare.py``. Writes `results/prepare.json` and `results/prepare.md`.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import wave
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av
import numpy as np
from fe2e import processor

from mme2e.config import FaceSettings, PrepareSettings, SampleSettings
from mme2e.corpora.iemocap import read_iemocap
from mme2e.corpora.sample import write_sample
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.media import frame_times, read_frames
from mme2e.prepare import prepare_corpus
from mme2e.prepare.corpus import make_face_tracker
from mme2e.training.model_card import environment

RESULTS = Path(__file__).parent / "results"
FRAME_RATE = 30
TURN_S = 4
MINUTES = (1, 10)
MB = 1 << 20


def repeat_dialogue(source: Utterance, folder: Path, minutes: int) -> tuple[Path, Path]:
    """Writes picture and sound of a dialogue again and again until the minutes are full; packets are only copied."""
    assert source.video is not None
    assert source.audio is not None
    once = folder / "once.mp4"
    if not once.exists():
        with av.open(str(source.video)) as old, av.open(str(once), "w") as new:
            stream = new.add_stream("mpeg4", rate=FRAME_RATE)
            stream.bit_rate, stream.gop_size = 2_000_000, 12
            frames = list(old.decode(video=0))
            stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
            for index in range(30 * FRAME_RATE):
                frame = frames[round(index * float(old.streams.video[0].average_rate or 1) / FRAME_RATE) % len(frames)]
                picture = frame.reformat(format="yuv420p")
                picture.pts, picture.time_base = index, Fraction(1, FRAME_RATE)
                new.mux(stream.encode(picture))
            new.mux(stream.encode(None))
    video, sound = folder / f"{minutes}.mp4", folder / f"{minutes}.wav"
    with av.open(str(video), "w") as new:
        copy, offset, step = None, 0, 0
        for _ in range(minutes * 2):
            with av.open(str(once)) as old:
                source_stream = old.streams.video[0]
                copy = copy or new.add_stream_from_template(source_stream)
                step = round(30 / (source_stream.time_base or 1))
                for packet in old.demux(source_stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = copy
                        new.mux(packet)
            offset += step
    with wave.open(str(source.audio)) as old_sound, wave.open(str(sound), "wb") as new_sound:
        samples = np.frombuffer(old_sound.readframes(old_sound.getnframes()), dtype="<i2")
        new_sound.setparams(old_sound.getparams())
        new_sound.writeframes(np.resize(samples, minutes * 60 * 16000 * old_sound.getnchannels()).tobytes())
    return video, sound


def dialogue(folder: Path, minutes: int) -> RawCorpus:
    """Two speakers who take turns."""
    sample = read_iemocap(folder / "raw")
    by_region = {u.region: u for u in reversed(sample.utterances) if u.recording == sample.utterances[0].recording}
    video, sound = folder / f"{minutes}.mp4", folder / f"{minutes}.wav"
    if not video.exists():
        video, sound = repeat_dialogue(sample.utterances[0], folder, minutes)
    speakers = cycle(by_region.values())
    utterances = tuple(
        Utterance(
            id=f"u{start_s}",
            recording="dialogue",
            speaker=speaker.speaker,
            start_s=float(start_s),
            end_s=float(start_s + TURN_S),
            text="some words",
            labels=speaker.labels,
            split="train",
            video=video,
            audio=sound,
            region=speaker.region,
            audio_channel=speaker.audio_channel,
        )
        for start_s, speaker in zip(range(0, minutes * 60, TURN_S), speakers, strict=False)
    )
    return RawCorpus(name="dialogue", label_names=sample.label_names, multi_label=False, utterances=utterances)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def measure(folder: Path, minutes: int) -> dict:
    """Prepares one dialogue in this process and says what it took."""
    corpus = dialogue(folder, minutes)
    tracker = make_face_tracker(FaceSettings())
    video, region = corpus.utterances[0].video, corpus.utterances[0].region
    assert video is not None
    list(tracker.crops(read_frames(video, frame_times(0, TURN_S, 500), region)))
    ready_mb = peak_mb()
    summary = prepare_corpus(corpus, folder / f"out{minutes}", PrepareSettings(), source="raw")
    own_mb = peak_mb()
    start_s = time.perf_counter()
    both = sum(1 for _ in read_frames(video, frame_times(0, minutes * 60, 500)))
    return {
        "video_s": summary.video_s,
        "frames": summary.frames,
        "face_share": summary.face_share,
        "elapsed_s": round(summary.elapsed_s, 2),
        "stage_ms_per_frame": {k: round(1000 * v / summary.frames, 2) for k, v in sorted(summary.stage_s.items())},
        "one_pass_decode_ms_per_frame": round(1000 * (time.perf_counter() - start_s) / both, 2),
        "peak_mb": round(own_mb, 1),
        "peak_mb_after_one_utterance": round(ready_mb, 1),
    }


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_sample(folder / "raw", SampleSettings(utterances=10))
        for minutes in MINUTES:
            dialogue(folder, minutes)
        runs = {}
        for minutes in MINUTES:
            command = [sys.executable, __file__, str(folder), str(minutes)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            runs[f"{minutes} min"] = json.loads(done.stdout)
    result = {
        **runs,
        "load average at the start": round(load, 2),
        "processor": processor(),
        "date": time.strftime("%Y-%m-%d"),
        **json.loads(environment()),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "prepare.json").write_text(json.dumps(result, indent=2) + "\n")
    stages = ("decode", "faces", "audio", "encode", "write")
    lines = [
        f"| {name} | {run['frames']} | {run['video_s'] / run['elapsed_s']:.1f} | "
        + " | ".join(f"{run['stage_ms_per_frame'][stage]:.2f}" for stage in stages)
        + f" | {run['one_pass_decode_ms_per_frame']:.2f} | {run['peak_mb_after_one_utterance']} | {run['peak_mb']} |\n"
        for name, run in runs.items()
    ]
    table = (
        "| video | frames | s of video a second | decode | faces | audio | encode | write | decode, one pass "
        "| MB after 4 s | peak MB |\n|---|---|---|---|---|---|---|---|---|---|---|\n" + "".join(lines)
    )
    note = (
        "One process; 720x480 at 30 frames a second, a frame sampled every 500 ms, two speakers in turns of 4 s. "
        "Stages in ms a sampled frame.\n'decode, one pass': the same times without regard to the speaker.\n"
        f"{result['processor']}, load {load:.1f} before; torch {result['packages']['torch']}, "
        f"Python {result['python']}, commit {result['git_commit']}; {result['date']}.\n"
    )
    (RESULTS / "prepare.md").write_text(f"# Preparation\n\n{table}\n{note}")
    print(table)


if __name__ == "__main__":
    main()

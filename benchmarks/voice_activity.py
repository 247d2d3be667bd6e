"""Where somebody speaks: Silero's network against an energy detector, on real speech with silence and noise; and speed.

    python benchmarks/voice_activity.py SPEECH_FOLDER [--split valid]

SPEECH_FOLDER holds a table `speech.csv` with the columns audio (path of a clip within the folder), speaker and split.
Clips of a speaker, made equally loud, are joined with silences of half a second to four; noise is added at 10 dB below
the level of the speech. The truth is the energy of the clean clip: speech is what is less than 40 dB below its loud
level, without pauses under 0.2 s and bursts under 0.1 s. Onset, offset and padding are chosen on the first half of the
speakers, by name, and scores are those of the others. Where the package silero-vad can be imported, its own jit model,
called once a window, is timed beside ours, on one thread each. Writes benchmarks/results/voice_activity.json and
voice_activity.md.
"""

import argparse
import csv
import importlib.util
import inspect
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from mme2e.atomic import write_text
from mme2e.environment import describe_machine
from mme2e.media.audio import read_audio
from mme2e.voice.activity import VoiceActivity
from mme2e.voice.network import SAMPLE_RATE_HZ, WINDOW_S, WINDOW_SAMPLES, SileroVAD
from mme2e.voice.segmenter import SpeechSegmenter

RESULTS = Path(__file__).parent / "results"
FRAME_SAMPLES = 160  # of the truth, 10 ms
FRAMES_A_BIN = 10  # scores are those of bins of 100 ms
COLLAR_FRAMES = 10
NOISE_DB = 10.0
SPEECH_LEVEL = 2000  # root mean square of the speech of each clip, 24 dB below full scale
CONDITIONS = ("no noise", "white", "pink", "brown and hum")
ALL = "all of these at 10 dB"
AS_RECORDED = "pink, clips as loud as recorded"  # quiet ones lie far below 10 dB; nothing is chosen on it
DEFAULTS = inspect.signature(SpeechSegmenter).parameters
ONSETS = tuple(round(0.05 * i, 2) for i in range(1, 19))
OFFSET_SHARES = (0.3, 0.5, 0.7)  # of the onset
PADDINGS_S = (0.0, 0.05, 0.1, 0.15)
TIMED_S = 600
TURNS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Clips of one speaker with silences between them, under one condition."""

    speaker: str
    condition: str
    samples: np.ndarray
    truth: np.ndarray  # (frames,) bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is chosen, and what the segmenter has by itself."""

    onset: float = DEFAULTS["onset"].default
    offset: float = DEFAULTS["offset"].default
    padding_s: float = DEFAULTS["padding_s"].default


@dataclass(frozen=True, kw_only=True)
class Score:
    """A detector under one condition, on speakers on whom nothing was chosen."""

    detector: str
    condition: str
    settings: Settings
    precision: float
    recall: float
    f1: float
    f1_with_collar: float


def runs_of(flags: np.ndarray, value: bool) -> list[tuple[int, int]]:
    """First frames and ends of the runs of one value."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags == value, [False]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def true_speech(samples: np.ndarray) -> np.ndarray:
    """(samples,) of a clean clip -> (frames,) bool."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES).astype(np.float64)
    level_db = 10 * np.log10((frames**2).mean(1) + 1e-3)
    speech = level_db > np.percentile(level_db, 95) - 40
    for first, end in runs_of(speech, False):
        if end - first < 20 and first > 0 and end < len(speech):
            speech[first:end] = True
    for first, end in runs_of(speech, True):
        if end - first < 10:
            speech[first:end] = False
    return speech


def noise(condition: str, length: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) float64 of power 1."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies_hz = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 20.0)
    roots = {"white": 0.0, "brown and hum": 1.0}
    spectrum /= frequencies_hz ** roots.get(condition, 0.5)
    waveform = np.fft.irfft(spectrum, length)
    waveform /= waveform.std()
    if condition == "brown and hum":
        seconds = np.arange(length) / SAMPLE_RATE_HZ
        waveform += sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in (1, 2, 3, 5))
    return waveform / waveform.std()


def recording_of(speaker: str, clips: list[np.ndarray], condition: str, seed: int) -> Recording:
    """The same silences for each condition."""
    rng = np.random.default_rng(seed)
    pieces, truths = [], []
    for clip in clips:
        truth = true_speech(clip)
        silence = int(rng.uniform(50, 400))
        piece = clip[: len(truth) * FRAME_SAMPLES].astype(np.float64)
        if condition != AS_RECORDED:
            piece *= SPEECH_LEVEL / np.sqrt((piece.reshape(-1, FRAME_SAMPLES)[truth] ** 2).mean())
        pieces += [piece, np.zeros(silence * FRAME_SAMPLES)]
        truths += [truth, np.zeros(silence, dtype=bool)]
    clean, truth = np.concatenate(pieces), np.concatenate(truths)
    speech_power = (clean.reshape(-1, FRAME_SAMPLES)[truth] ** 2).mean()
    added: np.ndarray | float = 0.0
    if condition != "no noise":
        added = noise(condition, len(clean), rng) * np.sqrt(speech_power * 10 ** (-NOISE_DB / 10))
    samples = np.clip(np.rint(clean + added), -32768, 32767).astype(np.int16)
    return Recording(speaker=speaker, condition=condition, samples=samples, truth=truth)


def silero(samples: np.ndarray, network: SileroVAD) -> np.ndarray:
    """(samples,) -> (windows,) probabilities, read in pieces of a second."""
    activity = VoiceActivity(network)
    pieces = [activity.add(samples[i : i + SAMPLE_RATE_HZ]) for i in range(0, len(samples), SAMPLE_RATE_HZ)]
    return np.concatenate([*pieces, activity.finish()])


def energy(samples: np.ndarray) -> np.ndarray:
    """(samples,) -> (windows,) from 0 to 1: level above the quietest tenth of the last 20 seconds, 1 at 40 dB."""
    padded = np.zeros(-(-len(samples) // WINDOW_SAMPLES) * WINDOW_SAMPLES)
    padded[: len(samples)] = samples
    level_db = 10 * np.log10((padded.reshape(-1, WINDOW_SAMPLES) ** 2).mean(1) + 1.0)
    smooth_db = np.convolve(np.pad(level_db, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    last = round(20 / WINDOW_S)
    floor_db = np.array([np.percentile(level_db[max(0, i - last) : i + 1], 10) for i in range(len(level_db))])
    return np.clip((smooth_db - floor_db) / 40, 0, 1)


def found_speech(answers: np.ndarray, frames: int, settings: Settings) -> np.ndarray:
    """(windows,) -> (frames,) bool by the segmenter, which here joins no short speech."""
    segmenter = SpeechSegmenter(0.01, 60.0, **asdict(settings))
    found = np.zeros(frames, dtype=bool)
    frame_s = FRAME_SAMPLES / SAMPLE_RATE_HZ
    for stretch in [*segmenter.add(answers), *segmenter.finish(frames * frame_s)]:
        if stretch.speech:
            found[round(stretch.start_s / frame_s) : round(stretch.end_s / frame_s)] = True
    return found


def binned(flags: np.ndarray) -> np.ndarray:
    """(frames,) -> (bins of 100 ms,): whether it is so in half of the frames."""
    return flags[: len(flags) // FRAMES_A_BIN * FRAMES_A_BIN].reshape(-1, FRAMES_A_BIN).mean(1) >= 0.5


def precision_recall_f1(found: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    both = float((found & truth).sum())
    return both / max(found.sum(), 1), both / max(truth.sum(), 1), 2 * both / max(found.sum() + truth.sum(), 1)


def away_from_edges(truth: np.ndarray) -> np.ndarray:
    """(frames,) bool: frames at least 100 ms from where speech begins or ends."""
    counted = np.ones(len(truth), dtype=bool)
    for edge in np.flatnonzero(np.diff(truth)) + 1:
        counted[max(0, edge - COLLAR_FRAMES) : edge + COLLAR_FRAMES] = False
    return counted


def score(detector: str, answered: list[tuple[Recording, np.ndarray]], condition: str, settings: Settings) -> Score:
    pairs = [
        (found_speech(answers, len(each.truth), settings), each.truth)
        for each, answers in answered
        if condition == each.condition or (condition == ALL and each.condition != AS_RECORDED)
    ]
    counted = [away_from_edges(truth) for _, truth in pairs]
    inner = [np.concatenate([pair[k][c] for pair, c in zip(pairs, counted, strict=True)]) for k in (0, 1)]
    precision, recall, f1 = precision_recall_f1(
        np.concatenate([binned(found) for found, _ in pairs]), np.concatenate([binned(truth) for _, truth in pairs])
    )
    return Score(
        detector=detector,
        condition=condition,
        settings=settings,
        precision=precision,
        recall=recall,
        f1=f1,
        f1_with_collar=precision_recall_f1(inner[0], inner[1])[2],
    )


def scores_of(detector: str, answered: list[tuple[Recording, np.ndarray]], choosing: set[str]) -> list[Score]:
    """Chooses onset and padding on some speakers; scores of the others, by condition and of all."""
    chosen_on = [pair for pair in answered if pair[0].speaker in choosing]
    others = [pair for pair in answered if pair[0].speaker not in choosing]
    grid = [
        Settings(onset=onset, offset=share * onset, padding_s=padding_s)
        for onset, share, padding_s in itertools.product(ONSETS, OFFSET_SHARES, PADDINGS_S)
    ]
    best = max(grid, key=lambda settings: score(detector, chosen_on, ALL, settings).f1)
    compared = [(detector, best)]
    if detector == "silero":
        compared.append(("silero, defaults of the segmenter", Settings()))
    return [
        score(name, others, condition, of) for name, of in compared for condition in (*CONDITIONS, ALL, AS_RECORDED)
    ]


def read_clips(folder: Path, split: str) -> dict[str, list[np.ndarray]]:
    """By speaker, in the order of their names."""
    clips: dict[str, list[np.ndarray]] = {}
    with (folder / "speech.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    for row in sorted(rows, key=lambda row: row["speaker"]):
        clips.setdefault(row["speaker"], []).append(read_audio(folder / row["audio"]))
    return clips


def seconds_of(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def timings(samples: np.ndarray, network: SileroVAD) -> dict[str, float]:
    """Median seconds of ten minutes, ours and the original's in turns."""
    works: dict[str, Callable[[], object]] = {"ours": lambda: silero(samples, network)}
    package = importlib.util.find_spec("silero_vad")
    if package is not None and package.submodule_search_locations:
        jit = torch.jit.load(str(Path(package.submodule_search_locations[0]) / "data" / "silero_vad.jit"))
        waveform = torch.from_numpy(samples.astype(np.float32) / 32768)
        windows = waveform[: len(waveform) // WINDOW_SAMPLES * WINDOW_SAMPLES].view(-1, 1, WINDOW_SAMPLES)

        def loop() -> None:
            with torch.no_grad():
                for window in windows:
                    jit(window, SAMPLE_RATE_HZ).item()

        works["silero's jit, window by window"] = loop
    turns = [{name: seconds_of(work) for name, work in works.items()} for _ in range(TURNS)]
    return {name: statistics.median(turn[name] for turn in turns) for name in works}


def as_markdown(scores: list[Score], seconds: dict[str, float], facts: str) -> str:
    lines = [
        "# Where somebody speaks",
        "",
        facts,
        "",
        "| detector | condition | onset | offset | padding s | precision | recall | F1, bins of 100 ms "
        "| F1, collar of 100 ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.detector} | {each.condition} | {each.settings.onset:.2f} | {each.settings.offset:.2f} "
        f"| {each.settings.padding_s:.2f} | {each.precision:.3f} | {each.recall:.3f} | {each.f1:.3f} "
        f"| {each.f1_with_collar:.3f} |"
        for each in scores
    ]
    lines += ["", f"| {TIMED_S} s of audio, one thread | seconds | times real time |", "|---|---|---|"]
    lines += [f"| {name} | {took_s:.2f} | {TIMED_S / took_s:.0f} |" for name, took_s in seconds.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="valid")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine, network = describe_machine([torch.device("cpu")]), SileroVAD()
    clips = read_clips(options.folder, options.split)
    choosing = set(sorted(clips)[: max(1, len(clips) // 2)])
    recordings = [
        recording_of(name, clips[name], condition, i)
        for i, name in enumerate(clips)
        for condition in (*CONDITIONS, AS_RECORDED)
    ]
    scores = scores_of("silero", [(each, silero(each.samples, network)) for each in recordings], choosing)
    scores += scores_of("energy", [(each, energy(each.samples)) for each in recordings], choosing)
    seconds = timings(np.resize(recordings[0].samples, TIMED_S * SAMPLE_RATE_HZ), network)
    minutes = sum(len(each.samples) for each in recordings) / SAMPLE_RATE_HZ / 60
    facts = (
        f"{sum(map(len, clips.values()))} clips of {len(clips)} speakers (split {options.split}), "
        f"{minutes:.0f} minutes over {len(CONDITIONS) + 1} conditions, noise at {NOISE_DB:.0f} dB; "
        f"onset, offset and padding chosen on {', '.join(sorted(choosing))}, scores of the others. {machine}"
    )
    text = as_markdown(scores, seconds, facts)
    content = {"facts": facts, "scores": [asdict(each) for each in scores], "seconds": seconds}
    RESULTS.mkdir(exist_ok=True)
    write_text(RESULTS / "voice_activity.json", json.dumps(content, indent=2) + "\n")
    write_text(RESULTS / "voice_activity.md", text)
    print(text)


if __name__ == "__main__":
    main()

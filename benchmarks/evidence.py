"""Whether the evidence for an answer is worth something: does hiding it change the answer more than hiding anything?

    python benchmarks/evidence.py OPEN [--run RUN] [--rows N]

OPEN is a folder with validation rows of real people: `isear.csv`, `goemotions.csv` and `text.csv` (text, label, split),
`speech.csv` and `emodb.csv` (audio, label, split), `faces.csv` (image, label, split), with the files that they name;
clips beside it in `media/` are read in windows of 5 s. Composites put twenty faces, a voice (three
clips of a speaker) and a text of one label together.

The effect of each word, face crop and mel chunk is measured singly, by `evidence_of`'s occlusion. Then the tenth with
the largest effects (at least one) is hidden together, and so is a random tenth (mean of five draws). Reported is by how
much the probability of the most probable emotion falls, and the difference with a paired bootstrap interval over
segments. Writes benchmarks/results/evidence.json and evidence.md.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import mme2e
from mme2e.atomic import write_text
from mme2e.environment import environment
from mme2e.faces.face_crop import FACE_SIZE_PX, FaceCrop, FaceFlag
from mme2e.inference.evidence.evidence import evidence_of, split_words
from mme2e.inference.evidence.images import kept_shares
from mme2e.inference.evidence.occlusion import Hiding, Occlusion
from mme2e.inference.model_input import SegmentInput
from mme2e.inference.recognizer import Recognizer
from mme2e.media.audio import SAMPLE_RATE_HZ, decode_flac
from mme2e.media.mel_statistics import statistics_of
from mme2e.media.recording import StreamReport
from mme2e.models import MESM
from mme2e.perception.observation import Observation

RESULTS = Path(__file__).parent / "results"
DRAWS, RESAMPLES = 5, 10_000
FACES, CLIPS_JOINED, WINDOW_S, LONGEST_S = 20, 3, 5.0, 30.0
TEXT_FILES, AUDIO_FILES = ("isear.csv", "goemotions.csv", "text.csv"), ("speech.csv", "emodb.csv")
GROUP = 8


def rows_of(folder: Path, names: Sequence[str], random: np.random.Generator) -> Iterator[dict[str, str]]:
    """Validation rows in random order, those of the clear ones where a table says which are, the tables in turn."""
    tables = []
    for name in names:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "valid" and row.get("clear", "1") == "1"]
        tables.append([rows[number] for number in random.permutation(len(rows))])
    for together in zip(*tables, strict=False):
        yield from together


def observed(crops: Sequence[np.ndarray] = (), samples: np.ndarray | None = None) -> Observation:
    """As if these had been seen and heard."""
    samples = np.zeros(0, dtype=np.int16) if samples is None else samples
    faces = tuple(
        FaceCrop(time_s=number / 2, crop=crop, box=(0, 0, 48, 48), flag=FaceFlag.GIVEN, probability=None)
        for number, crop in enumerate(crops)
    )
    return Observation(
        position=0, start_s=0.0, end_s=max(len(crops) / 2, len(samples) / 16_000), faces=faces,
        frames_expected=len(crops), samples=samples, open_ended=False, video_file=Path("open"), audio_file=Path("open"),
        video=StreamReport(missing=None if crops else "no faces"),
        audio=StreamReport(missing=None if len(samples) else "no audio"),
    )  # fmt: skip


def photograph(path: Path) -> np.ndarray:
    """A face as a crop (48, 48, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((FACE_SIZE_PX, FACE_SIZE_PX), Image.Resampling.BILINEAR))


def voices(folder: Path, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Labels, and three clips of one speaker with the label, one after the other."""
    waiting: dict[tuple[str, str], list[np.ndarray]] = {}
    for row in rows_of(folder, AUDIO_FILES, random):
        clips = waiting.setdefault((row["label"], row["speaker"]), [])
        clips.append(decode_flac((folder / row["audio"]).read_bytes()))
        if len(clips) == CLIPS_JOINED:
            yield row["label"], np.concatenate(clips)
            clips.clear()


def composites(
    folder: Path, random: np.random.Generator, number: int
) -> Iterator[tuple[list[np.ndarray], np.ndarray, str]]:
    """Twenty faces, a voice and a text of one label."""
    faces: dict[str, list[Path]] = {}
    for row in rows_of(folder, ["faces.csv"], random):
        faces.setdefault(row["label"], []).append(folder / row["image"])
    texts: dict[str, list[str]] = {}
    for row in rows_of(folder, TEXT_FILES, random):
        texts.setdefault(row["label"], []).append(row["text"])
    heard = ((label, samples) for label, samples in voices(folder, random) if label in texts and label in faces)
    for (label, samples), _ in zip(heard, range(number), strict=False):
        paths = random.choice(np.array(faces[label], dtype=object), FACES)
        text = texts[label][random.integers(len(texts[label]))]
        yield [photograph(path) for path in paths], samples, text


def hiding_of(occlusion: Occlusion, segment: int, modality: str, parts: Sequence[int]) -> Hiding:
    """Some words, crops or chunks of a segment hidden together."""
    if modality != "text":
        return Hiding(segment=segment, **{modality: frozenset(parts)})  # type: ignore[arg-type]
    words = [word for word, _ in split_words(occlusion.segments[segment].text or "")]
    return Hiding(segment=segment, text=" ".join(word for place, word in enumerate(words) if place not in parts))


def drops(
    recognizer: Recognizer, segments: Sequence[SegmentInput], modality: str, random: np.random.Generator
) -> list[tuple[int, float, float]]:
    """For each segment with two parts or more: parts hidden, the fall without the top ones, and without random ones."""
    found = []
    for first in range(0, len(segments), GROUP):
        occlusion = Occlusion(recognizer, segments[first : first + GROUP])
        exact = Occlusion(recognizer, segments[first : first + GROUP], reselect=True)
        for number, segment in enumerate(occlusion.segments):
            is_text = modality == "text"
            parts = len(split_words(segment.text or "")) if is_text else occlusion.size(number, modality)
            if parts < 2:
                continue
            one_by_one = [hiding_of(occlusion, number, modality, [part]) for part in range(parts)]
            rows = occlusion.probabilities([Hiding(segment=number), *one_by_one]).numpy()
            top = rows[0].argmax()
            effects = rows[0, top] - rows[1:, top]
            tenth = math.ceil(parts / 10)
            chosen = [np.argsort(-effects, kind="stable")[:tenth]]
            chosen += [random.choice(parts, tenth, replace=False) for _ in range(DRAWS)]
            left = exact.probabilities([hiding_of(occlusion, number, modality, list(each)) for each in chosen])
            falls = rows[0, top] - left.numpy()[:, top]
            found.append((tenth, float(falls[0]), float(falls[1:].mean())))
    return found


def site_drops(
    recognizer: Recognizer, segments: Sequence[SegmentInput], random: np.random.Generator
) -> list[tuple[int, float, float]]:
    """As `drops`, of the tenth of the sites of all face crops that most stages kept, made as grey as the crop is."""
    found = []
    for segment in segments:
        occlusion = Occlusion(recognizer, [segment])
        assert occlusion.visual is not None
        shares = np.stack([kept_shares(occlusion.visual, crop) for crop in range(occlusion.size(0, "visual"))])
        orders = [shares.reshape(len(shares), -1) + 1e-3 * random.random((len(shares), shares[0].size))]
        orders += [random.random((len(shares), shares[0].size)) for _ in range(DRAWS)]
        greyed = [segment]
        for order in orders:
            tenth = np.argsort(-order, axis=1)[:, : math.ceil(order.shape[1] / 10)]
            hidden = np.zeros(order.shape, dtype=bool)
            np.put_along_axis(hidden, tenth, values=True, axis=1)
            masks = hidden.reshape(shares.shape).repeat(2, axis=1).repeat(2, axis=2)
            faces = tuple(
                replace(face, crop=np.where(mask[..., None], face.crop.mean((0, 1)).astype(np.uint8), face.crop))
                for face, mask in zip(segment.observation.faces, masks, strict=True)
            )
            greyed.append(recognizer.read(replace(segment.observation, faces=faces), segment.text))
        rows = [each.logits for each in recognizer.infer_many(greyed) if each is not None]
        probabilities = np.array([recognizer.probabilities(row, segment.used).tolist() for row in rows])
        top = probabilities[0].argmax()
        falls = probabilities[0, top] - probabilities[1:, top]
        found.append((math.ceil(shares[0].size / 10), float(falls[0]), float(falls[1:].mean())))
    return found


def row_of(
    name: str, hidden: str, found: Sequence[tuple[int, float, float]], random: np.random.Generator
) -> dict[str, Any]:
    """Means, and the paired bootstrap interval of their difference; that of segments with several parts hidden too."""
    values = np.array(found)
    difference = values[:, 1] - values[:, 2]
    several = difference[values[:, 0] > 1]
    return {
        "segments of": name, "hidden": hidden, "segments": len(values), "top tenth": f"{values[:, 1].mean():.3f}",
        "random tenth": f"{values[:, 2].mean():.3f}", "difference": interval(difference, random),
        "several hidden": len(several), "difference, several hidden": interval(several, random),
    }  # fmt: skip


def interval(difference: np.ndarray, random: np.random.Generator) -> str:
    """Mean and its 95 % interval."""
    if len(difference) < 2:
        return ""
    resampled = difference[random.integers(len(difference), size=(RESAMPLES, len(difference)))].mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return f"{difference.mean():.3f} ({low:.3f} to {high:.3f})"


def windows(recognizer: Recognizer, folder: Path) -> list[SegmentInput]:
    """The clips in windows of 5 s that the recognizer can answer of."""
    found = []
    for clip in sorted(folder.glob("*.m[op][v4]")):
        whole = recognizer.perceive(clip, end_s=LONGEST_S)
        surroundings = tuple(statistics_of(whole.samples)) if len(whole.samples) else None
        for start_s in np.arange(0, whole.covered_to_s - 1, WINDOW_S):
            window = replace(
                whole,
                start_s=float(start_s),
                end_s=min(float(start_s) + WINDOW_S, whole.covered_to_s),
                faces=tuple(face for face in whole.faces if start_s <= face.time_s < start_s + WINDOW_S),
                samples=whole.samples[int(start_s * SAMPLE_RATE_HZ) : int((start_s + WINDOW_S) * SAMPLE_RATE_HZ)],
                surroundings=surroundings,
            )
            segment = recognizer.read(window)
            if recognizer.can_answer(segment):
                found.append(segment)
    return found


def seconds_a_segment(call: Callable[[], object], segments: int) -> float:
    """The best of three."""
    taken = []
    for _ in range(3):
        began_s = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began_s)
    return min(taken) / segments


def speed(recognizer: Recognizer, composed: Sequence[tuple[list[np.ndarray], np.ndarray, str]]) -> list[dict[str, Any]]:
    """Seconds of segments of 5 s with ten of the faces and twelve words."""
    segments = [
        recognizer.read(observed(crops[:10], np.resize(samples, 80_000)), " ".join(np.resize(text.split(), 12)))
        for crops, samples, text in composed[:GROUP]
    ]
    calls: dict[str, Callable[[], object]] = {
        "answer": lambda: recognizer.infer_many(segments),
        "answer, one by one": lambda: [recognizer.infer_many([segment]) for segment in segments],
        "evidence": lambda: evidence_of(recognizer, segments),
        "evidence, one by one": lambda: [evidence_of(recognizer, [segment]) for segment in segments],
        "evidence, sites selected anew without each word": lambda: evidence_of(recognizer, segments, reselect=True),
    }
    return [
        {"what": name, "seconds a segment of 5 s": f"{seconds_a_segment(call, len(segments)):.3f}"}
        for name, call in calls.items()
    ]


def reselected(recognizer: Recognizer, segments: Sequence[SegmentInput]) -> str:
    """What is lost by not selecting sites anew without each word."""
    fast, exact = (
        np.array(
            [word.effect for found in evidence_of(recognizer, segments, reselect=anew) if found for word in found.words]
        )
        for anew in (False, True)
    )
    return (
        f"Effects of {len(fast)} words of {len(segments)} composites with the sites of the whole text kept, and with "
        f"those selected anew without the word (`reselect=True`): correlation {np.corrcoef(fast, exact)[0, 1]:.3f}, "
        f"mean absolute difference {np.abs(fast - exact).mean():.4f}, largest {np.abs(fast - exact).max():.3f}; mean "
        f"absolute effect {np.abs(exact).mean():.4f}."
    )


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown."""
    heads = list(rows[0])
    lines = [" | ".join(heads), "|".join("---" for _ in heads), *(" | ".join(map(str, row.values())) for row in rows)]
    return [f"| {line} |" for line in lines]


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OPEN")
    parser.add_argument("--run", default="starter")
    parser.add_argument("--rows", type=int, default=60, help="segments of each kind; of text alone 200 at most")
    asked = parser.parse_args()
    folder, random = asked.folder, np.random.default_rng(0)
    recognizer = mme2e.load(asked.run, device="cpu")
    texts = [
        recognizer.read(observed(), row["text"])
        for row, _ in zip(rows_of(folder, TEXT_FILES, random), range(min(200, 4 * asked.rows)), strict=False)
    ]
    heard = [
        recognizer.read(observed(samples=samples))
        for (_, samples), _ in zip(voices(folder, random), range(asked.rows), strict=False)
    ]
    composed = list(composites(folder, random, asked.rows))
    faces = [recognizer.read(observed(crops)) for crops, _, _ in composed]
    together = [recognizer.read(observed(crops, samples), text) for crops, samples, text in composed]
    clips = windows(recognizer, folder.parent / "media")
    print(f"{len(texts)} texts, {len(heard)} voices, {len(composed)} composites, {len(clips)} windows", flush=True)
    kinds = [
        ("text alone", texts, ("text",)),
        ("voices alone", heard, ("acoustic",)),
        ("twenty faces of one label", faces, ("visual",)),
        ("composites", together, ("text", "acoustic", "visual")),
        ("clips, windows of 5 s", clips, ("acoustic", "visual")),
    ]
    parts = {"text": "words", "acoustic": "mel chunks", "visual": "face crops"}
    rows = []
    for name, segments, modalities in kinds:
        for modality in modalities:
            found = drops(recognizer, segments, modality, random)
            if found:
                rows.append(row_of(name, parts[modality], found, random))
                print(rows[-1], flush=True)
    if isinstance(recognizer.model, MESM):
        rows.append(
            row_of(
                "twenty faces of one label",
                "sites kept by most",
                site_drops(recognizer, faces[: asked.rows // 3], random),
                random,
            )
        )
    timings = speed(recognizer, composed)
    lost = reselected(recognizer, together[: asked.rows // 2])
    machine = environment()
    lines = [
        "# Is the evidence worth something?",
        "",
        f"`{recognizer.name}`. By how much the probability of the most probable emotion falls when the tenth with the "
        f"largest effects (at least one) is hidden, and when a random tenth is (mean of {DRAWS} draws). Effects are "
        "measured one by one and hidden together, with MESM's sites selected anew. Where only one part is hidden, it "
        "is the one that was measured to fall most, which is no test of faces and audio; the last columns are of "
        f"segments with several parts hidden. In brackets: 95 % intervals, paired bootstrap over segments, {RESAMPLES} "
        "draws. Validation rows, which chose the starter's epochs and temperatures.",
        "",
        *table(rows),
        "",
        "Sites kept by most: of each face crop the tenth of the sites that most stages of MESM kept, made as grey as "
        "the crop is, and as many random ones.",
        "",
        f"Seconds of a segment of 5 s with ten faces and twelve words, {GROUP} side by side or one by one, the best of "
        f"three; threads of torch: {torch.get_num_threads()}.",
        "",
        *table(timings),
        "",
        lost,
        "",
    ]
    text = "\n".join(lines)
    RESULTS.mkdir(exist_ok=True)
    content = {"environment": machine, "rows": rows, "timings": timings, "reselected": lost}
    write_text(RESULTS / "evidence.json", json.dumps(content, indent=2) + "\n")
    write_text(RESULTS / "evidence.md", text)
    print(text)


if __name__ == "__main__":
    main()

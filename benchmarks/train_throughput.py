"""`mme2e train`: an epoch from a prepared corpus, against the same with faces looked for in the loop.

The generated sample corpus is prepared, and MESM is trained on it for two epochs by the very function behind
`mme2e train`; the second one counts, validation included. In turn with that, the same is trained with pictures and
sound that the data loader decodes from the raw recordings, and faces that it looks for, in every epoch

- "in the reader": by this package's fast tracker, in the worker process that reads beside training;
- "as the reference": by the settings of the reference's detector, frame by frame, in the training process. Of this one
  epoch is measured: there is nothing that a second one would spare.

Frames are read in one pass for an utterance; images in between and sound of others are not decoded. Order, labels,
settings and first weights are those of the prepared run. Two widths: configs/demo.yaml, and configs/mesm.yaml for a few
steps, with a small encoder of words, so that no network is needed.

Run: ``python benchmarks/train_throughput.py [quick]``. Writes `results/train_throughput.json` and `.md`; quick, to try
it out, prints only.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from mme2e.command_line import read_settings
from mme2e.config import AugmentSettings, FaceSettings, PrepareSettings, SampleSettings, TextSettings, TrainSettings
from mme2e.console import screen
from mme2e.corpora.readers import read_corpus
from mme2e.corpora.utterance import Utterance
from mme2e.data.augment_faces import augment_crops
from mme2e.data.batch import UtteranceItem
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.dataset import Draw, UtteranceDataset
from mme2e.environment import describe_machine
from mme2e.faces.detector import FaceDetector
from mme2e.faces.tracker import FaceTracker
from mme2e.generated.writer import sample
from mme2e.media.audio import read_audio
from mme2e.media.video import frame_times, read_frames
from mme2e.preparation.corpus import prepare_corpus
from mme2e.training.allocation import keep_freed_memory
from mme2e.training.history import EpochRecord
from mme2e.training.trainer import train_model

RESULTS, CONFIGS = Path(__file__).parent / "results", Path(__file__).parents[1] / "configs"
QUICK = "quick" in sys.argv[1:]
UTTERANCES = {"demo": 10, "full": 5} if QUICK else {"demo": 100, "full": 20}
ROUNDS = {"demo": 1, "full": 1} if QUICK else {"demo": 2, "full": 1}
WANTED_RATIO, MOST_WAITING = 3.0, 0.05

OpenDataset = Callable[..., UtteranceDataset]


class RawDataset(UtteranceDataset):
    """The utterances of a prepared corpus, whose pictures and sound are made from the raw recordings each time.

    Args:
        corpus: Gives words, labels and order.
        split: "train" or "valid".
        modalities: With v and a.
        tokenizer: Of the words.
        utterances: Id -> where its video and sound are.
        face: How faces are found.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        modalities: str,
        tokenizer: object,
        utterances: dict[str, Utterance],
        face: FaceSettings,
    ) -> None:
        super().__init__(corpus, split, modalities, tokenizer)
        self._words = UtteranceDataset(corpus, split, "t", tokenizer)
        self._utterances = utterances
        self._interval_ms = corpus.info.frame_interval_ms
        self._tracker = FaceTracker(FaceDetector(face))

    def augmented(self, settings: AugmentSettings | None, seed: int) -> "RawDataset":
        """The same with augmentation of crops and words."""
        other = super().augmented(settings, seed)
        assert isinstance(other, RawDataset)
        other._words = self._words.augmented(settings, seed)
        return other

    def __getitem__(self, key: int | Draw) -> UtteranceItem:
        draw = key if isinstance(key, Draw) else Draw(key, 0)
        item = self._words[draw]
        utterance = self._utterances[item.id]
        assert utterance.video is not None
        assert utterance.audio is not None
        assert utterance.end_s is not None
        times_s = frame_times(utterance.start_s, utterance.end_s, self._interval_ms)
        frames = read_frames(utterance.video, times_s, utterance.region)
        crops = np.stack([crop.crop for crop in self._tracker.crops(frames)])
        if self._augment is not None:
            crops = augment_crops(crops, self._augment, np.random.default_rng([self._seed, draw.epoch, draw.utterance]))
        samples = read_audio(
            utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s, channel=utterance.audio_channel
        )
        return replace(
            item,
            face_crops=torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))),
            waveform=torch.from_numpy(samples),
        )


@dataclass(frozen=True, kw_only=True)
class Width:
    """What was measured at one width; seconds of the epoch that counts."""

    train: int
    valid: int
    batch_size: int
    prepared_s: float
    in_reader_s: float
    as_reference_s: float
    waiting_share: float


def settings_of(width: str) -> TrainSettings:
    if width == "demo":
        settings = read_settings(CONFIGS / "demo.yaml", TrainSettings)
        # At its final p from the start: the shortest steps, for which data are the hardest to have in time.
        return replace(settings, epochs=2, anneal_epochs=0, early_stop=0)
    settings = read_settings(CONFIGS / "mesm.yaml", TrainSettings)
    words = TextSettings(model="scratch", hidden_dim=64)
    return replace(settings, epochs=2, early_stop=0, batch_size=4, model=replace(settings.model, text=words))


def run(settings: TrainSettings, corpus: Path, out: Path, open_dataset: OpenDataset | None = None) -> EpochRecord:
    """The last epoch of a training run, of a dataset that is not the usual one if so wanted."""
    way = nullcontext() if open_dataset is None else patch("mme2e.training.data_module.open_dataset", open_dataset)
    with way:
        result = train_model(settings, data=corpus, out=out, console=screen(quiet=True))
    return result.history[-1]


def measure(width: str, folder: Path) -> Width:
    raw, corpus_folder = folder / "raw", folder / "corpus"
    sample(raw, SampleSettings(layout="iemocap", utterances=UTTERANCES[width]))
    read = read_corpus("iemocap", raw)
    prepare_corpus(read, corpus_folder, PrepareSettings(jobs=2), source="generated")
    corpus, utterances = load_corpus(corpus_folder), {utterance.id: utterance for utterance in read.utterances}
    settings = settings_of(width)

    def from_raw(face: FaceSettings) -> OpenDataset:
        return lambda corpus, split, model, tokenizer: RawDataset(
            corpus, split, model.modalities, tokenizer, utterances, face
        )

    prepared, in_reader = [], []
    for number in range(ROUNDS[width]):
        prepared.append(run(settings, corpus_folder, folder / f"prepared{number}"))
        in_reader.append(run(settings, corpus_folder, folder / f"reader{number}", from_raw(FaceSettings())))
    once = replace(settings, epochs=1, warmup_epochs=0.0, num_workers=0)
    as_reference = run(once, corpus_folder, folder / "reference", from_raw(FaceSettings(mode="reference")))
    prepared.append(run(settings, corpus_folder, folder / "prepared"))
    return Width(
        train=len(corpus.split("train")),
        valid=len(corpus.split("valid")),
        batch_size=settings.batch_size,
        prepared_s=statistics.median(record.seconds for record in prepared),
        in_reader_s=statistics.median(record.seconds for record in in_reader),
        as_reference_s=as_reference.seconds,
        waiting_share=statistics.median(record.data_wait_share for record in prepared),
    )


def table(widths: dict[str, Width]) -> str:
    lines = [
        "| width | utterances | prepared, s | faces in the reader, s | as the reference, s | waiting for data |",
        "|---|---|---|---|---|---|",
    ]
    for name, width in widths.items():
        reader, reference = width.in_reader_s / width.prepared_s, width.as_reference_s / width.prepared_s
        lines.append(
            f"| {name} | {width.train} + {width.valid} | {width.prepared_s:.2f} "
            f"| {width.in_reader_s:.2f} ({reader:.1f} times) | {width.as_reference_s:.2f} ({reference:.1f} times) "
            f"| {width.waiting_share:.1%} |"
        )
    return "\n".join(lines) + "\n"


def verdict(width: Width) -> str:
    ways = {"in the reader": width.in_reader_s, "as the reference": width.as_reference_s}
    told = [
        f"{'at least' if seconds / width.prepared_s >= WANTED_RATIO else 'less than'} {WANTED_RATIO:g} times faster "
        f"than with faces {way}"
        for way, seconds in ways.items()
    ]
    fed = "below" if width.waiting_share < MOST_WAITING else "not below"
    return f"Demo: {' and '.join(told)}; waiting {fed} {MOST_WAITING:.0%}."


def main() -> None:
    machine = describe_machine([torch.device("cuda" if torch.cuda.is_available() else "cpu")])
    began_s = time.perf_counter()
    keep_freed_memory()  # as the verb does
    widths = {}
    for name in UTTERANCES:
        with tempfile.TemporaryDirectory() as temporary:
            widths[name] = measure(name, Path(temporary))
        print(f"{name}: measured after {time.perf_counter() - began_s:.0f} s", file=sys.stderr)
    found = table(widths)
    note = (
        "Epoch 2 of MESM on the generated sample corpus, with validation (utterances: training + validation). In "
        "brackets: how many times as long as from the prepared corpus. 'In the reader': decoded and searched by the "
        "worker process, fast tracker. 'As the reference': frame by frame with the reference's detector, in the "
        "training process; epoch 1.\n"
        f"{verdict(widths['demo'])}\n\n{machine}; {time.strftime('%Y-%m-%d')}.\n"
    )
    print(found, note, sep="\n")
    if not QUICK:
        RESULTS.mkdir(exist_ok=True)
        content = {"machine": asdict(machine), "widths": {name: asdict(width) for name, width in widths.items()}}
        (RESULTS / "train_throughput.json").write_text(json.dumps(content, indent=2) + "\n")
        (RESULTS / "train_throughput.md").write_text(f"# Throughput of training\n\n{found}\n{note}")


if __name__ == "__main__":
    main()

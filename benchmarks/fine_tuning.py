"""What few labelled clips are worth: validation score by their number, from scratch and from trained runs.

    python benchmarks/fine_tuning.py CORPUS OUT [--start starter --start RUN ...] [--clips 20 50 100 200] [--seeds 2]

CORPUS is prepared, of one emotion an utterance (`mme2e prepare emodb ...`). Of its training split the first clips of a
random order are learned, emotions in turn; the order is the seed's, so that 50 clips are the 20 and others. Each start
is trained for the same epochs; the epoch is chosen on validation by macro F1 and scored there, which flatters all of
them alike. 0 clips: a start as it is. What is finished is not trained again. Writes benchmarks/results/fine_tuning.md,
.json and .png.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fe2e import processor
from matplotlib.figure import Figure
from smaller_corpus import write_smaller

from mme2e.atomic import replacing, write_text
from mme2e.config import AugmentSettings, InitSettings, TrainSettings
from mme2e.config.augment import AudioAugmentSettings
from mme2e.data.corpus import load_corpus
from mme2e.environment import environment
from mme2e.evaluation.predictions import predict_split
from mme2e.evaluation.score_run import open_run
from mme2e.evaluation.tables import markdown_table
from mme2e.runs.info import read_info
from mme2e.runs.starter import find_run
from mme2e.scores.label_sets import choice_scores
from mme2e.scores.metrics import average
from mme2e.training.history import TrainingReport
from mme2e.training.train import train

RESULTS = Path(__file__).parent / "results"
SCRATCH = "from scratch"
Score = dict[str, Any]
"""start, clips, seed, uar, accuracy; seed is None where nothing was trained."""

BASE = TrainSettings(
    augment=AugmentSettings(
        time_masks=1,
        time_mask_columns=6,
        frequency_masks=1,
        frequency_mask_mels=12,
        audio=AudioAugmentSettings(time_shift_s=0.3, speed=0.05, gain_db=6),
    ),
    loss="ce",
    epochs=20,
    batch_size=8,
    scheduler="cosine",
    warmup_epochs=1,
    early_stop=0,
    num_workers=0,
)
SCRATCH_RATE, START_RATE = 1e-3, 3e-4
"""Learning rates; neither was tuned."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training begins with.

    Attributes:
        name: In tables.
        run: Run folder or `starter`; None: from scratch.
        rate: Learning rate.
    """

    name: str
    run: str | None
    rate: float

    @classmethod
    def parse(cls, text: str) -> "Start":
        """Reads RUN, NAME=RUN, NAME=RUN@RATE."""
        rest, _, rate = text.partition("@")
        name, _, run = rest.rpartition("=")
        return cls(name=name or Path(run).name, run=run, rate=float(rate or START_RATE))


def settings_of(start: Start, like: str, *, seed: int, epochs: int, modalities: str) -> TrainSettings:
    """How a start is trained: alike but for the learning rate, and top-p, which falls only for what begins at random.

    Args:
        start: What it begins with.
        like: Run whose network is used from scratch.
        seed: Of the training.
        epochs: Of the training.
        modalities: That the network reads.
    """
    model = replace(read_info(find_run(start.run or like)).model, modalities=modalities)
    anneal = min(2, epochs - 1) if model.name == "mesm" and start.run is None else 0
    common = replace(BASE, model=model, seed=seed, epochs=epochs, anneal_epochs=anneal)
    return replace(common, learning_rate=start.rate, init=InitSettings(run=start.run))


def score(run: Path, corpus_folder: Path) -> Score:
    """Accuracy and UAR on validation."""
    loaded, corpus, _ = open_run(run, corpus_folder, batch_size=16, device="cpu")
    found = predict_split(loaded, corpus, "valid", batch_size=16, device=torch.device("cpu"))
    choice = choice_scores(found.probabilities, found.labels)
    return {"uar": average(choice.recall).value, "accuracy": choice.accuracy}


def train_and_score(settings: TrainSettings, corpus: Path, run: Path) -> Score:
    """Does what is missing of a run; its scores are kept beside the others of it."""
    kept = run / "valid_choice.json"
    if not kept.is_file():
        begun = (run / "train_settings.yaml").is_file()
        if not (begun and TrainingReport.read(run).finished):
            train(settings, data=corpus, out=run, resume=begun)
        write_text(kept, json.dumps(score(run, corpus)))
    found: Score = json.loads(kept.read_text())
    return found


def measure(given: argparse.Namespace) -> list[Score]:
    """All scores, seed after seed."""
    starts = [Start.parse(each) for each in given.start or ["starter"]]
    runs = {each.run: each.name for each in reversed(starts) if each.run is not None}
    like = starts[0].run or ""
    rows: list[Score] = [
        {"start": name, "clips": 0, "seed": None, **score(find_run(run), given.corpus)} for run, name in runs.items()
    ]
    for seed in range(given.seeds):
        for clips in given.clips:
            part = given.out / "corpora" / f"{clips}-{seed}"
            count = write_smaller(given.corpus, part, train=clips, seed=seed, balanced=True)
            for start in (Start(name=SCRATCH, run=None, rate=SCRATCH_RATE), *starts):
                settings = settings_of(start, like, seed=seed, epochs=given.epochs, modalities=given.modalities)
                run = given.out / "runs" / f"{start.name.replace(' ', '_')}-{clips}-{seed}"
                found = train_and_score(settings, part, run)
                rows.append({"start": start.name, "clips": count, "seed": seed, **found})
                print(f"seed {seed}, {count} clips, {start.name}: UAR {100 * found['uar']:.1f}", flush=True)
    return rows


def values(rows: Sequence[Score], start: str, clips: int, what: str = "uar") -> list[float]:
    """Scores of one start and number of clips, in percent, by seed."""
    return [100 * row[what] for row in rows if row["start"] == start and row["clips"] == clips]


def table(rows: Sequence[Score]) -> str:
    """Markdown: UAR by number of clips, each seed, and mean accuracy."""
    starts = list(dict.fromkeys([SCRATCH, *(row["start"] for row in rows)]))
    lines = []
    for clips in sorted({row["clips"] for row in rows}):
        cells = []
        for start in starts:
            found = values(rows, start, clips)
            each = f" ({', '.join(f'{value:.1f}' for value in found)})" if len(found) > 1 else ""
            accuracy = values(rows, start, clips, "accuracy")
            cells += [f"{statistics.mean(found):.1f}{each}", f"{statistics.mean(accuracy):.1f}"] if found else ["", ""]
        lines.append([str(clips), *cells])
    heads = [head for start in starts for head in (f"{start}: UAR %", "accuracy %")]
    return markdown_table(["clips", *heads], lines)


def draw(rows: Sequence[Score], chance: float, path: Path) -> None:
    """UAR by number of clips: a line a start, through the means; dots are seeds."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for start in dict.fromkeys([SCRATCH, *(row["start"] for row in rows)]):
        here = [row for row in rows if row["start"] == start]
        clips = sorted({row["clips"] for row in here})
        (line,) = axes.plot(clips, [np.mean(values(rows, start, each)) for each in clips], label=start)
        axes.plot([row["clips"] for row in here], [100 * row["uar"] for row in here], ".", color=line.get_color())
    axes.axhline(chance, color="grey", linestyle=":", label="chance")
    axes.set(xlabel="labelled clips", ylabel="UAR on validation (%)", ylim=(0, 100))
    axes.legend()
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="prepared corpus with training and validation split")
    parser.add_argument("out", type=Path, help="folder of the smaller corpora and of the runs")
    parser.add_argument("--start", action="append", help="run folder, starter, or NAME=RUN; starter when not given")
    parser.add_argument("--clips", type=int, nargs="+", default=[20, 50, 100, 200])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=BASE.epochs)
    parser.add_argument("--modalities", default="a", help="that are read: some of t, a, v")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    rows = measure(given)
    corpus = load_corpus(given.corpus)
    where = environment()
    emotions = {label[0] for label in corpus.columns("valid", ["labels"])["labels"].to_pylist()}
    about = (
        f"{corpus.info.name}, {corpus.info.counts['valid']} validation utterances of {len(emotions)} emotions; "
        f"{given.seeds} seed(s), {given.epochs} epochs of batches of {BASE.batch_size}; learning rate "
        f"{SCRATCH_RATE:g} from scratch, {START_RATE:g} from a run where the name tells no other, neither tuned. The "
        "epoch is chosen on the same validation utterances. 0 clips: the run as it is, which may answer with emotions "
        "that the corpus lacks.\n\n"
        f"{processor()}; commit {where['git_commit']}."
    )
    given.results.mkdir(parents=True, exist_ok=True)
    text = f"# Fine-tuning with few labelled clips\n\n{table(rows)}\n\n![](fine_tuning.png)\n\n{about}\n"
    write_text(given.results / "fine_tuning.md", text)
    write_text(given.results / "fine_tuning.json", json.dumps({"scores": rows, "environment": where}, indent=2) + "\n")
    draw(rows, 100 / len(emotions), given.results / "fine_tuning.png")
    print(table(rows))


if __name__ == "__main__":
    main()

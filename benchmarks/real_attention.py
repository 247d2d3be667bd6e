"""Which way of learning MESM's attention scores best on real faces: every mode at p = 0.5 and FE2E, several seeds.

    python benchmarks/real_attention.py CORPUS OUT [--photographs 6000] [--seeds 3] [--epochs 10]

CORPUS holds faces, prepared (`mme2e build-starter configs/starter/starter.yaml --until prepare`, or `mme2e prepare
ferplus`); the same random photographs of its training split are learned by all, narrow towers, labels without votes.
The epoch is chosen on validation by macro F1, and scored there. Seed after seed; what is finished is not trained again,
and after an interruption the table is of what is there. Operations are counted by `mme2e benchmark`. Writes
benchmarks/results/real_attention.md and .json.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fe2e import processor
from fine_tuning import train_and_score
from smaller_corpus import write_smaller

from mme2e.atomic import write_text
from mme2e.benchmarking.benchmark import benchmark
from mme2e.config import AugmentSettings, ModelSettings, TrainSettings
from mme2e.config.model import AttentionMode, AttentionSettings, TextSettings
from mme2e.config.signals import FaceInputSettings
from mme2e.data.corpus import load_corpus
from mme2e.environment import environment
from mme2e.evaluation.tables import markdown_table
from mme2e.training.history import TrainingReport

RESULTS = Path(__file__).parent / "results"
FE2E = "fe2e"
MODES: tuple[AttentionMode, ...] = ("frozen", "gate", "importance")
TOP_P = 0.5
Score = dict[str, Any]

BASE = TrainSettings(
    model=ModelSettings(
        modalities="v",
        top_p=TOP_P,
        faces=FaceInputSettings(colour="grey", normalise="crop"),
        text=TextSettings(hidden_dim=128),
        tower_channels=(8, 16, 32, 64),
        tower_dim=128,
        trans_dim=64,
        num_layers=1,
        feedforward_dim=128,
    ),
    augment=AugmentSettings(crop_jitter_px=2, flip=0.5, brightness=0.2),
    loss="ce",
    batch_size=64,
    learning_rate=1e-3,
    scheduler="cosine",
    warmup_epochs=0.5,
    early_stop=0,
    num_workers=0,
)


def settings_of(variant: str, *, seed: int, epochs: int) -> TrainSettings:
    """How a variant is trained: all alike, but that p falls from 1 over a third of the epochs where there is a p."""
    if variant == FE2E:
        return replace(BASE, model=replace(BASE.model, name="fe2e"), seed=seed, epochs=epochs)
    mode: AttentionMode = next(each for each in MODES if each == variant)
    attention = AttentionSettings(mode=mode, no_text_query=True)
    model = replace(BASE.model, name="mesm", attention=attention)
    return replace(BASE, model=model, seed=seed, epochs=epochs, anneal_epochs=epochs // 3)


def costs(run: Path, corpus: Path, variant: str) -> dict[str, float]:
    """Millions of multiply-adds and milliseconds a photograph, and both as shares of FE2E's."""
    kept = run / "costs.json"
    if not kept.is_file():
        result = benchmark(
            run, data=corpus, split="valid", top_p=[TOP_P], utterances=64, batch_size=32, device="cpu", rounds=5
        )
        here = next(each for each in result.costs if each.device == "cpu")
        there = next(each for each in result.against if each.device == "cpu") if variant != FE2E else here
        found = {
            "mega_operations": here.multiply_adds / 1e6,
            "ms": here.ms,
            "operations_share": here.multiply_adds / there.multiply_adds,
            "ms_share": here.ms / there.ms,
        }
        write_text(kept, json.dumps(found))
    read: dict[str, float] = json.loads(kept.read_text())
    return read


def table(rows: Sequence[Score], measured: dict[str, dict[str, float]]) -> str:
    """Markdown: mean and standard deviation over seeds, each seed's UAR, and what the first seed's network costs."""
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        here = [row for row in rows if row["variant"] == variant]
        cost = measured.get(variant)
        by_cost = (
            ["", "", ""]
            if cost is None
            else [f"{cost['mega_operations']:.1f}", f"{cost['operations_share']:.2f}", f"{cost['ms_share']:.2f}"]
        )
        lines.append(
            [
                variant,
                str(len(here)),
                mean_and_spread([100 * row["accuracy"] for row in here]),
                mean_and_spread([100 * row["uar"] for row in here]),
                ", ".join(f"{100 * row['uar']:.1f}" for row in here),
                mean_and_spread([row["valid_loss"] for row in here], digits=3),
                *by_cost,
            ]
        )
    heads = [
        "",
        "seeds",
        "accuracy %",
        "UAR %",
        "UAR by seed",
        "loss",
        "million operations",
        "of FE2E",
        "time, of FE2E",
    ]
    return markdown_table(heads, lines)


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation over seeds; of one value the value."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="prepared corpus with faces")
    parser.add_argument("out", type=Path, help="folder of the smaller corpus and of the runs")
    parser.add_argument("--photographs", type=int, default=6000, help="that are learned")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    part = given.out / f"corpus-{given.photographs}"
    count = write_smaller(given.corpus, part, train=given.photographs, seed=0, balanced=False)
    rows: list[Score] = []
    measured: dict[str, dict[str, float]] = {}
    for seed in range(given.seeds):
        for variant in (FE2E, *MODES):
            run = given.out / "runs" / f"{variant}-{seed}"
            found = train_and_score(settings_of(variant, seed=seed, epochs=given.epochs), part, run)
            best = TrainingReport.read(run).best
            assert best is not None
            rows.append({"variant": variant, "seed": seed, "epoch": best.epoch, "valid_loss": best.valid_loss, **found})
            if seed == 0:
                measured[variant] = costs(run, part, variant)
            print(f"seed {seed}, {variant}: UAR {100 * found['uar']:.1f}", flush=True)
            write_results(given, rows, measured, part, count)
    print(table(rows, measured))


def write_results(
    given: argparse.Namespace, rows: Sequence[Score], measured: dict[str, dict[str, float]], part: Path, count: int
) -> None:
    """Writes the tables of what is done."""
    corpus = load_corpus(part)
    where = environment()
    about = (
        f"{corpus.info.name}: {count} photographs of its training split, {corpus.info.counts['valid']} of validation; "
        f"p = {TOP_P}, channels {', '.join(map(str, BASE.model.tower_channels))}, {given.epochs} epochs; p falls from "
        f"1 over the first {given.epochs // 3}, for frozen too. The epoch is chosen on validation by macro F1, and "
        "scored there. Operations and time: forward pass of one photograph, of the first seed.\n\n"
        f"{processor()}; commit {where['git_commit']}."
    )
    given.results.mkdir(parents=True, exist_ok=True)
    heading = "# Attention on real faces: frozen, gate, importance"
    write_text(given.results / "real_attention.md", f"{heading}\n\n{table(rows, measured)}\n\n{about}\n")
    content = {"runs": rows, "costs": measured, "environment": where}
    write_text(given.results / "real_attention.json", json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()

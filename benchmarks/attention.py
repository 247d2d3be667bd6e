"""Which way of learning the attention scores best: every mode and three seeds on a prepared corpus.

    mme2e sample raw --utterances 1200 && mme2e prepare iemocap raw corpus
    python benchmarks/attention.py corpus runs [SEEDS]

Trains configs/demo.yaml at p = 0.5, as many runs side by side as there are cores, each with one thread (an hour on two
cores); what is finished is not trained again. Gates and a frozen attention tell faces and sound the emotion from the
words: they get other words in training. Prints mean and standard deviation over seeds and writes
results/attention.json and results/attention.md.
"""

import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fe2e import processor

from mme2e.environment import environment

RESULTS = Path(__file__).parent / "results"
CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
MESM = ("--model.name", "mesm", "--model.top-p", "0.5", "--model.attention.mode")
LATE = ("--anneal-epochs", "8")
OTHER_WORDS = (*LATE, "--model.attention.other-words", "0.5")
VARIANTS = {
    "fe2e": ("--model.name", "fe2e"),
    "importance": (*MESM, "importance", *LATE),
    **{f"{mode}, other words": (*MESM, mode, *OTHER_WORDS) for mode in ("importance", "gate", "frozen")},
}
METRICS = {"F1": "f1", "WAcc": "weighted_accuracy", "AUC": "auc"}


def run_folder(runs: Path, variant: str, seed: int) -> Path:
    return runs / f"{variant.replace(', ', '-').replace(' ', '_')}-{seed}"


def train_and_score(data: Path, run: Path, options: tuple[str, ...], seed: int) -> None:
    """Does what is missing of a run."""
    if (run / "evaluation" / "metrics_test.json").exists():
        return
    mme2e = [sys.executable, "-m", "mme2e"]
    resume = ["--resume"] if run.exists() else []
    train = ["train", "--config", str(CONFIG), "--data", str(data), "--out", str(run), "--seed", str(seed)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    for command in ([*train, *options, *resume], ["evaluate", str(run), "--data", str(data)]):
        subprocess.run([*mme2e, *command], check=True, env=one_thread)  # noqa: S603


def scores_of(run: Path) -> dict[str, float]:
    """Averages over emotions on the test split, in percent, and the best F1 on validation."""
    scores = json.loads((run / "evaluation" / "metrics_test.json").read_text())["scores"]
    best = json.loads((run / "metrics.json").read_text())["best"]
    averages = {name: 100 * scores[key]["average"] for name, key in METRICS.items()}
    return averages | {"validation F1": 100 * best["valid_macro_f1"]}


def main() -> None:
    """Trains, scores and writes the table."""
    data, runs = Path(sys.argv[1]), Path(sys.argv[2])
    seeds = range(int(sys.argv[3]) if len(sys.argv) > 3 else 3)
    jobs = [(run_folder(runs, name, seed), options, seed) for name, options in VARIANTS.items() for seed in seeds]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda job: train_and_score(data, *job), jobs):  # where one fails, the next do not begin
            pass
    table = {variant: [scores_of(run_folder(runs, variant, seed)) for seed in seeds] for variant in VARIANTS}
    names = list(next(iter(table.values()))[0])
    lines = [
        "| | " + " | ".join(f"{name} %" for name in names) + " | test F1 by seed |",
        "|---" * (len(names) + 2) + "|",
    ]
    for variant, rows in table.items():
        cells = []
        for name in names:
            values = [row[name] for row in rows]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        cells.append(", ".join(f"{row['F1']:.1f}" for row in rows))
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    where = environment()
    about = (
        f"Means and standard deviations over {len(seeds)} seeds, averaged over emotions; p = 0.5, {CONFIG.name}."
        f"\n{processor()}; commit {where['git_commit']}."
    )
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "attention.md").write_text("# Attention that learns\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    (RESULTS / "attention.json").write_text(json.dumps({"runs": table, "environment": where}, indent=2) + "\n")


if __name__ == "__main__":
    main()

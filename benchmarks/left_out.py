"""What a branch is worth on a collection that it never learned from: trained on each alone, scored on all.

    python benchmarks/left_out.py OUT NAME=CORPUS=EPOCHS [NAME=CORPUS=EPOCHS ...] [--config left_out.yaml]

For instance `RAVDESS=starter/corpora/ravdess=28 EMO-DB=starter/corpora/emodb=45`, of what `mme2e build-starter` has
prepared. The epoch is chosen on the validation split of the collection that is learned; those of the others decide
nothing. With two collections OUT/left_out.json is what the starter's card takes: the scores of each from the other
alone. To compare with, a support vector machine on mean and deviation of the mel bands, each normalised by speaker
(requires scikit-learn). What is finished is not trained again. Writes benchmarks/results/left_out.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fe2e import processor
from fine_tuning import Score, score, train_and_score
from numpy.typing import NDArray

from mme2e.atomic import write_text
from mme2e.command_line import read_settings
from mme2e.config import TrainSettings
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.environment import environment
from mme2e.evaluation.tables import markdown_table
from mme2e.media.mel_statistics import BandStatistics
from mme2e.preparation.merge import merge
from mme2e.scores.metrics import Floats

RESULTS = Path(__file__).parent / "results"
CONFIG = Path(__file__).with_suffix(".yaml")
LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A prepared corpus, and for how many epochs it is learned."""

    name: str
    corpus: Path
    epochs: int

    @classmethod
    def parse(cls, text: str) -> "Collection":
        """Reads NAME=CORPUS=EPOCHS."""
        parts = text.split("=")
        if len(parts) != 3 or not parts[2].isdigit():
            raise argparse.ArgumentTypeError(f"expected is NAME=CORPUS=EPOCHS, not '{text}'")
        return cls(name=parts[0], corpus=Path(parts[1]), epochs=int(parts[2]))


def settings_of(collection: Collection, base: TrainSettings) -> TrainSettings:
    """The settings for a collection: p falls over a tenth of its epochs."""
    anneal = collection.epochs // 10 if base.model.name == "mesm" else 0
    return replace(base, epochs=collection.epochs, anneal_epochs=anneal, num_workers=0)


def measure(collections: Sequence[Collection], out: Path, base: TrainSettings) -> dict[str, dict[str, Score]]:
    """Scores by what was learned and what was heard."""
    same = {each.name: out / "corpora" / each.corpus.name for each in collections}
    for each in collections:
        merge([each.corpus], out=same[each.name], labels=LABELS)
    found: dict[str, dict[str, Score]] = {}
    for learned in collections:
        run = out / "runs" / learned.corpus.name
        own = train_and_score(settings_of(learned, base), same[learned.name], run)
        found[learned.name] = {
            heard.name: {
                **(own if heard is learned else score(run, same[heard.name])),
                "utterances": load_corpus(same[heard.name]).info.counts["valid"],
            }
            for heard in collections
        }
    return found


def statistics_of(corpus: Corpus, split: str) -> tuple[Floats, NDArray[np.str_]]:
    """Mean and deviation of the mel bands of each utterance, in units of how they vary over its speaker; its label."""
    columns = corpus.columns(split, ["mel_statistics", "speaker", "labels"]).to_pydict()
    mean, deviation = BandStatistics.unpacked(columns["mel_statistics"]).mean_and_deviation()
    features: Floats = np.concatenate([mean.numpy(), deviation.numpy()], axis=1).astype(np.float64)
    speakers = np.array(columns["speaker"])
    for speaker in set(columns["speaker"]):
        here = features[speakers == speaker]
        features[speakers == speaker] = (here - here.mean(axis=0)) / (here.std(axis=0) + 1e-6)
    return features, np.array([labels[0] for labels in columns["labels"]])


def measure_simple(collections: Sequence[Collection]) -> dict[str, dict[str, Score]]:
    """As `measure`, of a support vector machine."""
    from sklearn.svm import SVC

    corpora = {each.name: load_corpus(each.corpus) for each in collections}
    found: dict[str, dict[str, Score]] = {}
    for learned, corpus in corpora.items():
        machine = SVC(C=3, class_weight="balanced").fit(*statistics_of(corpus, "train"))
        found[learned] = {}
        for heard, other in corpora.items():
            features, labels = statistics_of(other, "valid")
            right = machine.predict(features) == labels
            recall = [right[labels == label].mean() for label in np.unique(labels)]
            scores = {"uar": float(np.mean(recall)), "accuracy": float(right.mean())}
            found[learned][heard] = {**scores, "utterances": len(labels)}
    return found


def left_out(found: dict[str, dict[str, Score]]) -> dict[str, Score]:
    """For the card: scores of each of two collections from the other alone."""
    (first, scores), (second, others) = found.items()
    return {second: scores[second], first: others[first]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("collections", nargs="+", type=Collection.parse)
    parser.add_argument("--config", type=Path, default=CONFIG, help="settings of the trainings")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    found = measure(given.collections, given.out, read_settings(given.config, TrainSettings))
    models = {"branch": found, "support vector machine": measure_simple(given.collections)}
    rows = [
        [model, learned, heard, str(each["utterances"]), f"{100 * each['accuracy']:.1f}", f"{100 * each['uar']:.1f}"]
        for model, by_learned in models.items()
        for learned, scores in by_learned.items()
        for heard, each in scores.items()
    ]
    heads = ["", "learned", "scored on validation of", "utterances", "accuracy %", "UAR %"]
    table = markdown_table(heads, rows)
    if len(found) == 2:
        write_text(given.out / "left_out.json", json.dumps(left_out(found), indent=2) + "\n")
    epochs = ", ".join(f"{each.name} {each.epochs}" for each in given.collections)
    about = f"Epochs: {epochs}; one seed. {processor()}; commit {environment()['git_commit']}."
    given.results.mkdir(parents=True, exist_ok=True)
    write_text(given.results / "left_out.md", f"# Collections that were left out\n\n{table}\n\n{about}\n")
    print(table)


if __name__ == "__main__":
    main()

"""How many operations the models of an experiment execute."""

from dataclasses import dataclass

import torch

from mme2e.atomic import write_text
from mme2e.benchmarking.profiler import count_operations, sample_batches
from mme2e.data.corpus import load_corpus
from mme2e.data.hand_crafted import open_dataset
from mme2e.experiments.plan import PlannedRun
from mme2e.models import FE2E
from mme2e.records import read_record, to_json
from mme2e.runs.folder import load_run

OPERATIONS_FILE = "operations_test.json"
_BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class Operations:
    """What a forward pass of one run executes.

    Attributes:
        corpus: Name and fingerprint.
        utterances: Over how many utterances of the test split it was counted, evenly spread over it.
        multiply_adds: An utterance, on average.
    """

    corpus: str
    utterances: int
    multiply_adds: float


def operations_of(run: PlannedRun, utterances: int) -> Operations | None:
    """Counts the operations of a run that is done, or reads what was counted before.

    Args:
        run: Whose model.
        utterances: Over how many; all of a smaller split.

    Returns:
        None for the baselines, whose cost lies in their features.
    """
    if run.settings.model.hand_crafted:
        return None
    corpus = load_corpus(run.data)
    path = run.scores / OPERATIONS_FILE
    identity = f"{corpus.info.name} {corpus.fingerprint}"
    if path.is_file():
        known = read_record(Operations, path)
        if (known.corpus, known.utterances) == (identity, utterances):
            return known
    loaded = load_run(run.folder)
    assert isinstance(loaded.model, FE2E)
    dataset = open_dataset(corpus, "test", loaded.info.model, loaded.tokenizer)
    batches = sample_batches(dataset, utterances, _BATCH_SIZE)
    with torch.inference_mode():
        counted = count_operations(loaded.model, batches)
    each = counted.multiply_adds / sum(map(len, batches))
    found = Operations(corpus=identity, utterances=utterances, multiply_adds=each)
    write_text(path, to_json(found, indent=None))
    return found

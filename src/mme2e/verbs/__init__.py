"""What each verb of the command line does: a thin call of a public function.

Heavy imports live inside the verbs, so that `mme2e VERB --help` answers at once.
"""

from mme2e.verbs.corpora import audit, features, prepare, sample
from mme2e.verbs.exit_status import EXIT_INCOMPLETE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USER_ERROR
from mme2e.verbs.inference import picture, predict
from mme2e.verbs.scoring import benchmark, evaluate
from mme2e.verbs.training import experiment, import_checkpoint, search, train

__all__ = [
    "EXIT_INCOMPLETE",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_USER_ERROR",
    "audit",
    "benchmark",
    "evaluate",
    "experiment",
    "features",
    "import_checkpoint",
    "picture",
    "predict",
    "prepare",
    "sample",
    "search",
    "train",
]

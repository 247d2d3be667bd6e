"""The command line: one table of verbs."""

import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mme2e import interrupts
from mme2e.errors import UserError
from mme2e.report import as_it_is

EXIT_OK, EXIT_INCOMPLETE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130
"""Done; done, but some input could not be used or a check failed; the user's mistake; interrupted."""

_ENVIRONMENT = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A row of the table.

    Attributes:
        path: Of the function, with dots; `mme2e` exports it under its name.
        positionals: Which of its parameters have no dashes.
        example: Worked example.
        trains: Whether it takes training steps: the process then keeps freed memory.
        check: Path of a function that refuses a first word with a better message than the parser's; may be empty.
    """

    path: str
    positionals: tuple[str, ...]
    example: str
    trains: bool = False
    check: str = ""

    @property
    def function(self) -> Callable[..., Any]:
        """The function; its module is light, so that `mme2e VERB --help` answers at once."""
        return _named(self.path)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.function.__doc__ or "").splitlines()[0]


def _named(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


VERBS: dict[str, Verb] = {
    "sample": Verb(
        path="mme2e.generated.writer.sample",
        positionals=("out",),
        example="mme2e sample demo/raw --layout iemocap --utterances 240",
    ),
    "prepare": Verb(
        path="mme2e.preparation.prepare.prepare",
        positionals=("layout", "raw", "out"),
        example="mme2e prepare iemocap demo/raw demo/corpus --jobs 2",
    ),
    "merge": Verb(
        path="mme2e.preparation.merge.merge",
        positionals=("corpus",),
        example="mme2e merge corpora/ravdess corpora/emodb --out corpora/speech --rename calm=neutral fearful=fear",
    ),
    "compose": Verb(
        path="mme2e.preparation.compose.compose",
        positionals=(),
        example="mme2e compose --audio corpora/speech --faces corpora/faces --text corpora/text --out corpora/composed",
    ),
    "audit": Verb(
        path="mme2e.auditing.audit.audit",
        positionals=("corpus",),
        example="mme2e audit demo/corpus --out demo/audit",
    ),
    "features": Verb(
        path="mme2e.hand_crafted.features.features",
        positionals=("corpus",),
        example="mme2e features demo/corpus --acoustic librosa --jobs 2",
    ),
    "train": Verb(
        path="mme2e.training.train.train",
        positionals=(),
        example="mme2e train --config configs/demo.yaml --data demo/corpus --out demo/run --epochs 20",
        trains=True,
    ),
    "search": Verb(
        path="mme2e.tuning.search.search",
        positionals=("file",),
        example="mme2e search configs/search/demo.yaml --data demo/corpus --out demo/search --trials 20",
        trains=True,
    ),
    "evaluate": Verb(
        path="mme2e.evaluation.evaluate.evaluate",
        positionals=("run",),
        example="mme2e evaluate demo/run --data demo/corpus --split test",
    ),
    "benchmark": Verb(
        path="mme2e.benchmarking.benchmark.benchmark",
        positionals=("run",),
        example="mme2e benchmark demo/runs/mesm --data demo/corpus",
    ),
    "experiment": Verb(
        path="mme2e.experiments.experiment.experiment",
        positionals=("file",),
        example="mme2e experiment configs/experiments/demo.yaml --data demo/corpus --out demo/experiment",
        trains=True,
    ),
    "predict": Verb(
        path="mme2e.prediction.predict.predict",
        positionals=("recording",),
        example="mme2e predict talk.mp4 --out answers --evidence true",
        check="mme2e.prediction.recordings.refuse_run_folder",
    ),
    "picture": Verb(
        path="mme2e.inference.picture.picture",
        positionals=("run",),
        example="mme2e picture demo/run --data demo/corpus --utterance Ses05F_impro01_F000 --out kept.png",
    ),
    "build-starter": Verb(
        path="mme2e.starter.build.build_starter",
        positionals=("file",),
        example="mme2e build-starter configs/starter/starter.yaml --data open --out starter --encoder all-MiniLM-L6-v2",
        trains=True,
    ),
    "import-checkpoint": Verb(
        path="mme2e.reference.import_checkpoint.import_checkpoint",
        positionals=("checkpoint", "run"),
        example="mme2e import-checkpoint fe2e.pt runs/fe2e --text-model albert/albert-base-v2 --modalities tav",
    ),
}


def _overview() -> str:
    rows = "\n".join(f"  {name:<18} {verb.summary}" for name, verb in VERBS.items())
    return (
        "usage: mme2e COMMAND ...\n\nEmotions from raw video, audio and text.\n\n"
        f"commands:\n{rows}\n\n"
        "'mme2e COMMAND --help' shows the options of a command; 'mme2e --version' the version.\n\n"
        "example: from nothing to a trained model\n"
        + "\n".join(f"  {VERBS[name].example}" for name in ("sample", "prepare", "train", "evaluate"))
    )


def _run_verb(name: str, words: list[str]) -> int:
    from mme2e import console
    from mme2e.command_line import call

    verb = VERBS[name]
    console.log_to_screen()
    if verb.check and words:
        _named(verb.check)(words[0])
    if verb.trains:
        from mme2e.training.allocation import keep_freed_memory

        keep_freed_memory()
    result = call(name, verb.function, verb.positionals, verb.example, words)
    console.show(*result.report())
    return EXIT_OK if result.complete else EXIT_INCOMPLETE


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: Words after `mme2e`; the process' own when None.

    Returns:
        0 done; 1 done, but some input could not be used or a check failed; 2 the user's mistake; 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())  # noqa: T201
        return EXIT_OK if arguments else EXIT_USER_ERROR
    name = arguments[0]
    if name == "--version":
        from importlib.metadata import version

        print(version("mme2e"))  # noqa: T201
        return EXIT_OK
    return run_guarded("mme2e", lambda: _run_known_verb(name, arguments[1:]))


def _run_known_verb(name: str, words: list[str]) -> int:
    if name not in VERBS:
        raise UserError(f"unknown command '{name}'; choose from {', '.join(VERBS)}")
    return _run_verb(name, words)


def run_guarded(program: str, action: Callable[[], int]) -> int:
    """Does something and turns what ends it into one line and an exit status.

    Args:
        program: What the line begins with.
        action: Returns the exit status where nothing ends it.

    Returns:
        As `main`.
    """
    with interrupts.noticed() as interrupted:
        try:
            return action()
        except UserError as error:
            return _fail(program, " ".join(str(error).split()))
        except KeyboardInterrupt as interrupt:
            return _interrupted(program, str(interrupt))
        except Exception as error:
            if interrupted():  # a library made something else of it: compiled modules an ImportError
                return _interrupted(program, "")
            # The environment's mistakes, not the program's: anything else keeps its traceback.
            if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
                return _fail(program, f"{error.strerror}: {error.filename or 'while writing'}")
            raise


def _interrupted(program: str, message: str) -> int:
    print(f"{program}: {as_it_is(message or 'interrupted; what was finished is kept')}", file=sys.stderr)  # noqa: T201
    return EXIT_INTERRUPTED


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {as_it_is(message)}", file=sys.stderr)  # noqa: T201
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main())

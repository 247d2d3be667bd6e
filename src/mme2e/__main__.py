"""The command line: one table of verbs."""

import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from mme2e import verbs
from mme2e.config import FeatureExtractionSettings, PrepareSettings, SampleSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.verbs import EXIT_INTERRUPTED, EXIT_OK, EXIT_USER_ERROR

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
    """A row of the table: the function, which of its parameters have no dashes, and a worked example."""

    function: Callable[..., int]
    positionals: tuple[str, ...]
    example: str
    settings: type | None = None

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.function.__doc__ or "").splitlines()[0]


VERBS: dict[str, Verb] = {
    "sample": Verb(
        function=verbs.sample,
        positionals=("out",),
        settings=SampleSettings,
        example="mme2e sample demo/raw --layout iemocap --utterances 240",
    ),
    "prepare": Verb(
        function=verbs.prepare,
        positionals=("layout", "raw", "out"),
        settings=PrepareSettings,
        example="mme2e prepare iemocap demo/raw demo/corpus --jobs 2",
    ),
    "audit": Verb(function=verbs.audit, positionals=("corpus",), example="mme2e audit demo/corpus --out demo/audit"),
    "features": Verb(
        function=verbs.features,
        positionals=("corpus",),
        settings=FeatureExtractionSettings,
        example="mme2e features demo/corpus --acoustic librosa --jobs 2",
    ),
    "train": Verb(
        function=verbs.train,
        positionals=(),
        settings=TrainSettings,
        example="mme2e train --config configs/demo.yaml --data demo/corpus --out demo/run --epochs 20",
    ),
    "search": Verb(
        function=verbs.search,
        positionals=("file",),
        example="mme2e search configs/search/demo.yaml --data demo/corpus --out demo/search --trials 20",
    ),
    "evaluate": Verb(
        function=verbs.evaluate, positionals=("run",), example="mme2e evaluate demo/run --data demo/corpus --split test"
    ),
    "benchmark": Verb(
        function=verbs.benchmark, positionals=("run",), example="mme2e benchmark demo/runs/mesm --data demo/corpus"
    ),
    "experiment": Verb(
        function=verbs.experiment,
        positionals=("file",),
        example="mme2e experiment configs/experiments/demo.yaml --data demo/corpus --out demo/experiment",
    ),
    "predict": Verb(
        function=verbs.predict,
        positionals=("run", "video"),
        example="mme2e predict demo/run clip.mp4 --transcript 'I cannot believe it!' --out clip.json",
    ),
    "picture": Verb(
        function=verbs.picture,
        positionals=("run",),
        example="mme2e picture demo/run --data demo/corpus --utterance Ses05F_impro01_F000 --out kept.png",
    ),
    "import-checkpoint": Verb(
        function=verbs.import_checkpoint,
        positionals=("checkpoint", "run"),
        example="mme2e import-checkpoint fe2e.pt runs/fe2e --text_model albert/albert-base-v2 --modalities tav",
    ),
}


def _overview() -> str:
    rows = "\n".join(f"  {name:<18} {verb.summary}" for name, verb in VERBS.items())
    return (
        "usage: mme2e VERB ...\n\nEmotions from raw video, sound and words.\n\n"
        f"verbs:\n{rows}\n\n'mme2e VERB --help' tells the options of a verb; 'mme2e --version' the version.\n\n"
        "example: from nothing to a trained model\n"
        + "\n".join(f"  {VERBS[name].example}" for name in ("sample", "prepare", "train", "evaluate"))
    )


def _run_verb(name: str, arguments: list[str]) -> int:
    from mme2e.command_line import parse_verb

    verb = VERBS[name]
    parameters = parse_verb(name, verb.function, verb.positionals, verb.settings, verb.example, arguments)
    if verb.settings is not None:
        keys = {field.name for field in fields(verb.settings)}
        settings: dict[str, Any] = {key: parameters.pop(key) for key in keys}
        parameters["settings"] = verb.settings(**settings)
    return verb.function(**parameters)


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb.

    Args:
        arguments: Words after `mme2e`; the process' own when None.

    Returns:
        0 done; 1 done, but some input could not be used; 2 the user's mistake; 130 interrupted.
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


def _run_known_verb(name: str, arguments: list[str]) -> int:
    if name not in VERBS:
        raise UserError(f"'{name}' is no verb; there are {', '.join(VERBS)}")
    return _run_verb(name, arguments)


def run_guarded(program: str, action: Callable[[], int]) -> int:
    """Does something and turns what ends it into one line and an exit status.

    Args:
        program: What the line begins with.
        action: Returns the exit status where nothing ends it.

    Returns:
        As `main`.
    """
    try:
        return action()
    except UserError as error:
        return _fail(program, " ".join(str(error).split()))
    except KeyboardInterrupt as interrupt:
        print(f"{program}: {str(interrupt) or 'interrupted; what was finished is kept'}", file=sys.stderr)  # noqa: T201
        return EXIT_INTERRUPTED
    except OSError as error:
        # The environment's mistakes, not the program's: anything else keeps its traceback.
        if error.errno in _ENVIRONMENT:
            return _fail(program, f"{error.strerror}: {error.filename or 'while writing'}")
        raise


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {message}", file=sys.stderr)  # noqa: T201
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main())

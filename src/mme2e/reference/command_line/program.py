"""What `main.py` does: data, then training and its scores, or the scores of a checkpoint."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mme2e.__main__ import EXIT_OK, run_guarded
from mme2e.errors import UserError
from mme2e.reference.command_line.options import BASELINES, Options
from mme2e.reference.command_line.parsing import PROGRAM, in_original_words, parse
from mme2e.reference.command_line.translation import (
    check_options,
    text_model_of_size,
    train_settings,
    train_words,
    without_effect,
)

SAVINGS = Path("savings")


def main(words: Sequence[str] | None = None) -> int:
    """Runs the original command line.

    Args:
        words: Behind `main.py`; the process' own when None.

    Returns:
        As `mme2e.__main__.main`.
    """
    given = sys.argv[1:] if words is None else words
    return run_guarded(PROGRAM, lambda: _in_their_words(given))


def _in_their_words(words: Sequence[str]) -> int:
    try:
        return _run(words)
    except UserError as error:
        raise UserError(in_original_words(str(error))) from error


def _run(words: Sequence[str]) -> int:
    from mme2e.console import log_to_screen

    log_to_screen()
    options = parse(words)
    check_options(options)
    if not options.scores_only:
        for reason in without_effect(options):
            _say(f"{PROGRAM}: warning: {reason}: it has no effect")
        # Mistakes before the data are touched, which can take hours.
        train_settings(train_words(options, seed=options.seed[0]))
        _require_text_model(options)
    accelerator = _accelerator(options.cuda)
    if options.scores_only:
        _score(options, accelerator)
    else:
        _train(options, accelerator)
    return EXIT_OK


def _score(options: Options, accelerator: str) -> None:
    """Scores `--ckpt`."""
    from mme2e.console import show
    from mme2e.evaluation.evaluate import evaluate
    from mme2e.reference.command_line.checkpoint import run_folder_of
    from mme2e.reference.command_line.data_folder import open_data

    corpus = open_data(options)
    run = run_folder_of(options, corpus)
    split = "test" if options.test else "valid"
    out = None if options.out is None else Path(options.out)
    scores = evaluate(
        run, data=corpus.folder, split=split, out=out, batch_size=options.batch_size, device=_device(accelerator)
    )
    show(*scores.report())
    _say(f"{out or run / 'evaluation'}: the scores and predictions")


def _train(options: Options, accelerator: str) -> None:
    """Trains a run for each seed and scores it on the test split."""
    from mme2e.console import show
    from mme2e.evaluation.evaluate import evaluate
    from mme2e.evaluation.result import Evaluation
    from mme2e.reference.command_line.checkpoint import run_folder_of
    from mme2e.reference.command_line.data_folder import open_data, with_features
    from mme2e.reference.command_line.seeds import mean_of_seeds
    from mme2e.training.allocation import keep_freed_memory
    from mme2e.training.train import train

    keep_freed_memory()
    corpus = open_data(options)
    if options.model in BASELINES:
        options = with_features(options, corpus)
    init = None if options.ckpt is None else run_folder_of(options, corpus)
    results: list[Evaluation] = []
    for seed in options.seed:
        out = _run_folder(options, seed)
        words = train_words(options, seed=seed, accelerator=accelerator, init=init)
        resume = options.resume and (out.exists() or len(options.seed) == 1)
        places = ["--data", str(corpus.folder), "--out", str(out), *(["--resume"] if resume else [])]
        _say(f"the same as: {shlex.join(['mme2e', 'train', *places, *words])}")
        show(*train(train_settings(words), data=corpus.folder, out=out, resume=resume).report())
        _say(f"{out}: the run; score it again with: python {PROGRAM} {_scoring(options, out)}")
        if "test" in corpus.splits:
            device = _device(accelerator)
            results.append(evaluate(out, data=corpus.folder, batch_size=options.batch_size, device=device))
            show(*results[-1].report())
    if len(results) > 1:
        show(mean_of_seeds(results))


def _require_text_model(options: Options) -> None:
    """Refuses a text encoder that cannot be had."""
    name = options.text_model or text_model_of_size(options)
    if options.model in BASELINES or "t" not in options.modalities or options.ckpt is not None or name == "scratch":
        return
    from mme2e.text import load_config

    try:
        load_config(name)
    except UserError as error:
        raise UserError(
            f"{error}; offline, --text-model takes a folder with an encoder and its tokenizer, or scratch, which makes "
            "a small one of the corpus"
        ) from error


def _run_folder(options: Options, seed: int) -> Path:
    """Where a run goes; without --out a name as the reference's, without the scores that are not known yet."""
    if options.out is not None:
        return Path(options.out) / f"seed{seed}" if len(options.seed) > 1 else Path(options.out)
    threshold = f"st_{options.sparse_threshold:g}_" if options.model == "mme2e_sparse" else ""
    interval = f"imginvl{options.img_interval or 500}_"
    return SAVINGS / f"{options.model}_{options.modalities}_{interval}{threshold}seed{seed}"


def _scoring(options: Options, run: Path) -> str:
    words = ["--test", "--ckpt", str(run), "--datapath", options.datapath, "--dataset", options.dataset]
    return shlex.join(words)


def _accelerator(cuda: str | None) -> str:
    """auto, cpu or gpu; as in the reference the number hides the other GPUs.

    Raises:
        UserError: It is no number.
    """
    if cuda is None:
        return "auto"
    if cuda in ("cpu", "-1"):
        return "cpu"
    if not cuda.isdecimal():
        raise UserError(f"--cuda requires the number of a GPU, or cpu, not '{cuda}'")
    os.environ["CUDA_VISIBLE_DEVICES"] = cuda  # before torch asks for them
    import torch

    if torch.cuda.is_available():
        return "gpu"
    _say(f"{PROGRAM}: warning: --cuda {cuda}: torch finds no such GPU here; on the CPU instead")
    return "cpu"


def _device(accelerator: str) -> str:
    return {"gpu": "cuda"}.get(accelerator, accelerator)


def _say(line: str) -> None:
    from mme2e.console import screen, show

    show(line, console=screen(stderr=True))

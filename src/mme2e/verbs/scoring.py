"""What the verbs that score and time runs do."""

from pathlib import Path

from mme2e.errors import UserError
from mme2e.scores.published import TOP_P
from mme2e.verbs.exit_status import EXIT_OK


def evaluate(
    run: list[Path],
    data: Path,
    split: str = "test",
    out: Path | None = None,
    batch_size: int = 8,
    device: str = "auto",
    subsets: bool = False,
) -> int:
    """Scores runs on a split of a prepared corpus, with thresholds chosen on validation.

    Several runs are also compared in one table.

    Args:
        run: Run folders.
        data: Prepared corpus.
        split: train, valid or test.
        out: Folder for the report of a single run; RUN/evaluation when not given.
        batch_size: Utterances at a time.
        device: auto, cpu, cuda, cuda:1, ...
        subsets: Score with every set of the run's modalities, as if the others were missing, in one table.
    """
    from mme2e.evaluation.score_run import evaluate as score
    from mme2e.evaluation.subsets import evaluate_subsets
    from mme2e.evaluation.tables import compare

    if out is not None and len(run) > 1:
        raise UserError(f"--out goes with one run, not with {len(run)}")
    if subsets:
        for each in run:
            evaluate_subsets(each, data=data, split=split, out=out, batch_size=batch_size, device=device)
        return EXIT_OK
    results = [score(each, data=data, split=split, out=out, batch_size=batch_size, device=device) for each in run]
    if len(results) > 1:
        compare(results)
    return EXIT_OK


def benchmark(
    run: Path,
    data: Path,
    split: str = "test",
    top_p: list[float] = list(TOP_P),  # noqa: B006  # read only
    against: Path | None = None,
    utterances: int = 16,
    batch_size: int = 8,
    rounds: int = 5,
    device: str = "auto",
    out: Path | None = None,
) -> int:
    """Tells what a run costs beside FE2E: operations executed and milliseconds, at every p, and the score there.

    Also part by part, with the density of each sparse stage; as tables, JSON, CSV and a plot.

    Args:
        run: Run folder.
        data: Prepared corpus.
        split: train, valid or test.
        top_p: Shares of the attention to try, each in (0, 1]; of no matter for FE2E.
        against: Run folder of the FE2E to compare with; one with random weights, without scores, when not given.
        utterances: How many utterances are counted and timed.
        batch_size: Utterances at a time.
        rounds: How often they are timed.
        device: auto (the CPU and, where there is one, the GPU), cpu, cuda, cuda:1, ...
        out: Folder for the report; RUN/benchmark when not given.
    """
    from mme2e.benchmarking.run import benchmark as measure

    measure(
        run,
        data=data,
        split=split,
        top_p=top_p,
        against=against,
        utterances=utterances,
        batch_size=batch_size,
        rounds=rounds,
        device=device,
        out=out,
    )
    return EXIT_OK

"""`benchmark`: what a run scores and what it costs, at every p, beside FE2E."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.scores.published import TOP_P

if TYPE_CHECKING:
    from mme2e.benchmarking.result import BenchmarkResult


def benchmark(
    run: str | Path,
    *,
    data: str | Path,
    split: str = "test",
    top_p: Sequence[float] = TOP_P,
    against: str | Path | None = None,
    utterances: int = 16,
    batch_size: int = 8,
    rounds: int = 5,
    device: str = "auto",
    out: str | Path | None = None,
) -> "BenchmarkResult":
    """Reports what a run costs beside FE2E: operations executed and milliseconds, at every p, and the score there.

    Also part by part, with the density of each sparse stage; writes benchmark_SPLIT.json, .csv, .md and .png.

    Scores are of the whole split, with thresholds chosen on validation at that very p. Operations and seconds are of
    some utterances of the split; the networks are timed in turns, so that a machine with other work slows all of them
    alike.

    Args:
        run: Run folder, of MESM or FE2E. FE2E has no p: its numbers are one row.
        data: Prepared corpus.
        split: train, valid or test.
        top_p: Shares of the attention to try, each in (0, 1].
        against: Run folder of the FE2E to compare with. When not given, a MESM is compared with the costs of an FE2E of
            the same sizes with random weights, which has no score.
        utterances: How many are counted and timed, evenly spread over the split; all of a smaller one.
        batch_size: Utterances at a time.
        rounds: How often they are timed.
        device: auto (the CPU and, where there is one, the GPU), cpu, cuda, cuda:1, ...
        out: Folder for the report; RUN/benchmark when not given.

    Raises:
        UserError: A p is not in (0, 1]; a run or the corpus cannot be read or they do not fit; there is no such split.
        KeyboardInterrupt: With the message that nothing was written.
    """
    from mme2e.benchmarking.run import run_benchmark

    return run_benchmark(
        Path(run),
        data=Path(data),
        split=split,
        top_p=top_p,
        against=None if against is None else Path(against),
        utterances=utterances,
        batch_size=batch_size,
        rounds=rounds,
        device=device,
        out=None if out is None else Path(out),
    )

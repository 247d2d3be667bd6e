"""`evaluate`: the scores of runs on a split of a prepared corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Required, TypedDict, Unpack, overload

from mme2e.errors import UserError

if TYPE_CHECKING:
    from mme2e.evaluation.result import Evaluation, Evaluations
    from mme2e.evaluation.subsets import SubsetScores


Runs = list[str] | list[Path] | tuple[str | Path, ...]
"""Several run folders."""


class _Options(TypedDict, total=False):
    data: Required[str | Path]
    split: str
    out: str | Path | None
    batch_size: int
    device: str
    unit: Literal["recording", "speaker", "utterance"]


@overload
def evaluate(run: str | Path, *, subsets: Literal[False] = False, **options: Unpack[_Options]) -> "Evaluation": ...


@overload
def evaluate(run: str | Path, *, subsets: Literal[True], **options: Unpack[_Options]) -> "SubsetScores": ...


@overload
def evaluate(run: Runs, *, subsets: bool = False, **options: Unpack[_Options]) -> "Evaluations": ...


def evaluate(
    run: str | Path | Runs,
    *,
    data: str | Path,
    split: str = "test",
    out: str | Path | None = None,
    batch_size: int = 8,
    device: str = "auto",
    subsets: bool = False,
    unit: Literal["recording", "speaker", "utterance"] = "recording",
) -> "Evaluation | SubsetScores | Evaluations":
    """Scores runs on a split of a prepared corpus, with thresholds chosen on validation.

    Writes metrics_SPLIT.json, .md and .png, reliability_SPLIT.png and predictions_SPLIT.csv, or with `subsets`
    subsets_SPLIT.json, .md, .csv and .png. Several runs are also compared in one table.

    Thresholds come from validation data only: those that the run stores when it was trained on this very corpus, else
    chosen on the validation split of `data`, else 0.5; the result says which. Temperatures are fitted on the validation
    split of `data`; decisions do without them. Without a validation split there is no calibration and no
    reliability_SPLIT.png. For each set of `subsets` thresholds are chosen anew, with the same modalities.

    Args:
        run: Run folders.
        data: Prepared corpus.
        split: train, valid or test.
        out: Folder for the report of a single run; RUN/evaluation when not given.
        batch_size: Utterances at a time.
        device: auto (CUDA when present), cpu, cuda, cuda:1, ...
        subsets: Score with every set of the run's modalities, as if the others were missing, in one table.
        unit: What the bootstrap of the 95 % intervals draws, with all of its utterances: recording, speaker or
            utterance.

    Returns:
        The scores of the run, of its sets of modalities, or of each of a list of runs.

    Raises:
        UserError: Run or corpus cannot be read, their label names differ, or the corpus has no such split.
    """
    from mme2e.evaluation.result import Evaluations
    from mme2e.evaluation.score_run import evaluate_run
    from mme2e.evaluation.subsets import evaluate_subsets

    runs = [run] if isinstance(run, str | Path) else list(run)
    if out is not None and len(runs) != 1:
        raise UserError(f"--out requires a single run, not {len(runs)}")
    score = evaluate_subsets if subsets else evaluate_run
    folder = None if out is None else Path(out)
    results = [
        score(Path(each), data=Path(data), split=split, out=folder, batch_size=batch_size, device=device, unit=unit)
        for each in runs
    ]
    return results[0] if isinstance(run, str | Path) else Evaluations(runs=tuple(results))

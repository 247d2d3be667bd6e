"""`experiment`: a grid of runs, compared in one table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mme2e.config.experiment import ExperimentSettings
from mme2e.errors import UserError

if TYPE_CHECKING:
    from mme2e.experiments.run import ExperimentResult


def experiment(
    file: str | Path | ExperimentSettings,
    *,
    out: str | Path,
    data: Sequence[str] = (),
    seeds: Sequence[int] = (),
    set: Sequence[str] = (),  # noqa: A002  # the option is called --set
    dry_run: bool = False,
    only_report: bool = False,
    unit: Literal["recording", "speaker", "utterance"] | None = None,
) -> "ExperimentResult":
    """Trains and scores a grid of models x modalities x seeds x splits, and compares them in one table.

    Does what is missing: can be killed at any moment and called again. A run that was killed in the middle goes on
    after its last finished epoch; a run that fails is reported, the others are done all the same. The exit status is 1
    when a run failed or is missing.

    Args:
        file: YAML with variants, seeds and the rest; docs/experiments.md describes its keys, configs/experiments has
            examples.
        out: Folder for the runs (OUT/runs/PROTOCOL/[FOLD/]VARIANT/SEED), results.csv, .parquet, .md, .tex and .png.
        data: Prepared corpus; for several splits NAME=CORPUS each, for folds NAME=CORPUS,CORPUS,...
        seeds: Instead of the file's.
        set: KEY=VALUE, as epochs=1 or model.top_p=0.5: settings of every run, over those of the file.
        dry_run: Only show which runs there are and where they stand; nothing is written.
        only_report: Only make the tables of the runs that are done.
        unit: What the bootstrap draws, with all of its utterances: recording, speaker or utterance; the file's
            bootstrap.unit when not given.

    Raises:
        UserError: The file cannot be read or contradicts itself; a corpus cannot be read; a folder holds another run
            than the one planned; `out` is in use or cannot be written.
        KeyboardInterrupt: With the message that the same command goes on.
    """
    from mme2e.experiments.file import read_experiment
    from mme2e.experiments.run import run_experiment

    if isinstance(file, ExperimentSettings):
        if data or seeds or set:
            raise UserError(
                "data, seeds and set replace values of an experiment file; with settings, change the settings"
            )
        settings = file
    else:
        settings = read_experiment(Path(file), data=data, seeds=seeds, changes=set)
    if unit is not None:
        settings = replace(settings, bootstrap=replace(settings.bootstrap, unit=unit))
    return run_experiment(settings, out=Path(out), dry_run=dry_run, only_report=only_report)

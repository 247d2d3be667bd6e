"""What the verbs that train do."""

from pathlib import Path

from mme2e.config import TrainSettings
from mme2e.verbs.exit_status import EXIT_INCOMPLETE, EXIT_OK


def train(data: Path, out: Path, settings: TrainSettings, resume: bool = False) -> int:
    """Trains a model on a prepared corpus and writes a run folder.

    Args:
        data: Prepared corpus.
        out: Run folder to write.
        settings: How to train.
        resume: Go on from the last finished epoch of the run folder, exactly.
    """
    from mme2e.training.allocation import keep_freed_memory
    from mme2e.training.trainer import train as train_model

    keep_freed_memory()
    train_model(settings, data=data, out=out, resume=resume)
    return EXIT_OK


def search(file: Path, data: Path, out: Path, trials: int = 20, timeout_s: float | None = None) -> int:
    """Searches for the settings of training that score best on validation; the test split is closed to it.

    Can be interrupted at any moment and called again: trials that are done are kept. Wants Optuna (extra `search`).

    Args:
        file: YAML with base, space, objective, seed and pruner; docs/search.md tells them.
        data: Prepared corpus.
        out: Folder for best.yaml (for 'mme2e train --config'), trials.csv, search.md, plots and the best run.
        trials: How many there shall be, those of earlier calls included.
        timeout_s: No trial begins after so many seconds.
    """
    from mme2e.command_line import read_settings
    from mme2e.config.search import SearchSettings
    from mme2e.training.allocation import keep_freed_memory
    from mme2e.tuning.run import search as look

    settings = read_settings(file, SearchSettings)
    keep_freed_memory()
    result = look(settings, data=data, out=out, trials=trials, timeout_s=timeout_s)
    assert result.best is not None
    best = f"trial {result.best.number}, {settings.objective} {result.best.value:.3f}"
    print(f"{out}: best is {best}; train it with 'mme2e train --config {out / 'best.yaml'} ...'")  # noqa: T201
    return EXIT_OK


def experiment(
    file: Path,
    out: Path,
    data: list[str] = [],  # noqa: B006  # read only, as the two below
    seeds: list[int] = [],  # noqa: B006
    set: list[str] = [],  # noqa: A002, B006  # the option is called --set
    dry_run: bool = False,
    only_report: bool = False,
) -> int:
    """Trains and scores a grid of models x modalities x seeds x splits, and compares them in one table.

    Does what is missing: can be interrupted at any moment and called again. Status 1 when a run failed or is missing.

    Args:
        file: YAML with variants, seeds and the rest; docs/experiments.md tells its keys, configs/experiments has some.
        out: Folder for the runs, results.csv, .parquet, .md, .tex and .png.
        data: Prepared corpus; for several splits NAME=CORPUS each, for folds NAME=CORPUS,CORPUS,...
        seeds: Instead of the file's.
        set: KEY=VALUE, as epochs=1 or model.top_p=0.5: settings of every run, over those of the file.
        dry_run: Only tell which runs there are and where they stand.
        only_report: Only make the tables of the runs that are done.
    """
    from mme2e.experiments.experiment import run_experiment
    from mme2e.experiments.file import read_experiment
    from mme2e.training.allocation import keep_freed_memory

    settings = read_experiment(file, data=data, seeds=seeds, changes=set)
    keep_freed_memory()
    result = run_experiment(settings, out=out, dry_run=dry_run, only_report=only_report)
    return EXIT_OK if dry_run or result.complete else EXIT_INCOMPLETE


def import_checkpoint(
    checkpoint: Path,
    run: Path,
    text_model: str | None = None,
    modalities: str = "tav",
    num_heads: int = 4,
    top_p: float = 0.8,
    label_names: str | None = None,
) -> int:
    """Converts a checkpoint of the reference implementation into a run folder.

    Sizes are read from the weights; the options are what their shapes do not tell.

    Args:
        checkpoint: Torch state dict under the reference's names.
        run: Run folder to create.
        text_model: Hugging Face name or folder with config.json of the text encoder; not needed for published ALBERTs.
        modalities: Modalities that the checkpoint was trained with: some of t, a, v.
        num_heads: Attention heads of the sequence encoders.
        top_p: Sparse threshold (MESM).
        label_names: Emotions in the order of the logits, for instance ang,exc,fru,hap,neu,sad.
    """
    from mme2e.reference.checkpoint import import_checkpoint as convert

    names = None if label_names is None else tuple(label_names.split(","))
    convert(
        checkpoint,
        run,
        text_model=text_model,
        modalities=modalities,
        num_heads=num_heads,
        top_p=top_p,
        label_names=names,
    )
    print(f"{run}: ready; load it with mme2e.load('{run}')")  # noqa: T201
    return EXIT_OK

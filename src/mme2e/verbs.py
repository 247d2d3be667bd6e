"""What each verb of the command line does: a thin call of a public function.

Heavy imports live inside the verbs, so that `mme2e VERB --help` answers at once.
"""

from pathlib import Path
from typing import Literal

from mme2e.config import FeatureExtractionSettings, PrepareSettings, SampleSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.evaluation.published import TOP_P

EXIT_OK, EXIT_INCOMPLETE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130


def sample(out: Path, settings: SampleSettings) -> int:
    """Writes a generated corpus in the raw layout of a real one, with real encoded media.

    Args:
        out: Folder to create.
        settings: What to write.
    """
    from mme2e.corpora.sample import write_sample

    write_sample(out, settings)
    return EXIT_OK


def prepare(
    layout: Literal["iemocap", "mosei", "reference", "manifest", "ravdess", "crema_d", "meld"],
    raw: Path,
    out: Path,
    settings: PrepareSettings,
    corpus: Literal["iemocap", "mosei"] | None = None,
    source_fps: float = 30.0,
) -> int:
    """Turns a raw corpus into a prepared one: faces, sound and words of each utterance, in Parquet.

    Can be interrupted at any moment and called again: what was done is kept.

    Args:
        layout: Layout of the raw corpus; reference is the processed data of the paper's authors, manifest a table of
            your own data.
        raw: Folder of the raw corpus; of a manifest the file, in CSV or JSON lines.
        out: Folder of the prepared corpus.
        settings: How to prepare.
        corpus: Of the layout reference: which of its two corpora, iemocap or mosei.
        source_fps: Of the layout reference: images a second.
    """
    from rich.console import Console

    from mme2e.corpora import read_corpus, read_reference
    from mme2e.prepare import prepare_corpus

    if layout == "reference" and corpus is None:
        raise UserError("the layout reference wants --corpus iemocap or --corpus mosei")
    if layout != "reference" and corpus is not None:
        raise UserError(f"--corpus goes with the layout reference, not with {layout}")
    read = read_corpus(layout, raw) if corpus is None else read_reference(raw, corpus=corpus, source_fps=source_fps)
    summary = prepare_corpus(read, out, settings, source=raw.name)
    Console().print(summary.table())
    if corpus is not None:
        from mme2e.prepare.reference_features import copy_reference_features

        print(copy_reference_features(raw, out, corpus=corpus))  # noqa: T201
    return EXIT_INCOMPLETE if summary.failed else EXIT_OK


def audit(corpus: Path, out: Path | None = None) -> int:
    """Tells what a prepared corpus holds and what its splits share; status 1 when test recordings are in training.

    Unless the split protocol says so: the published lists of IEMOCAP share recordings by design.

    Args:
        corpus: Prepared corpus.
        out: Folder for audit.json, audit.md and audit.png; CORPUS/audit when not given.
    """
    from mme2e.evaluation import audit as examine

    return EXIT_INCOMPLETE if examine(corpus, out=out).leaks else EXIT_OK


def features(corpus: Path, settings: FeatureExtractionSettings) -> int:
    """Makes the hand-crafted features of a prepared corpus that the baselines are trained on.

    Can be interrupted at any moment and called again: what was done is kept.

    Args:
        corpus: Prepared corpus; its folder `features` is written.
        settings: Which features.
    """
    from rich.console import Console

    from mme2e.features import extract_features

    summary = extract_features(corpus, settings)
    Console().print(summary.table())
    return EXIT_INCOMPLETE if summary.info.skipped else EXIT_OK


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
    from mme2e.training.reference_checkpoint import import_checkpoint as convert

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


def train(data: Path, out: Path, settings: TrainSettings, resume: bool = False) -> int:
    """Trains a model on a prepared corpus and writes a run folder.

    Args:
        data: Prepared corpus.
        out: Run folder to write.
        settings: How to train.
        resume: Go on from the last finished epoch of the run folder, exactly.
    """
    from mme2e.training import train as train_model
    from mme2e.training.allocation import keep_freed_memory

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
    from mme2e.search import search as look
    from mme2e.training.allocation import keep_freed_memory

    settings = read_settings(file, SearchSettings)
    keep_freed_memory()
    result = look(settings, data=data, out=out, trials=trials, timeout_s=timeout_s)
    assert result.best is not None
    best = f"trial {result.best.number}, {settings.objective} {result.best.value:.3f}"
    print(f"{out}: best is {best}; train it with 'mme2e train --config {out / 'best.yaml'} ...'")  # noqa: T201
    return EXIT_OK


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
    from mme2e.evaluation import compare, evaluate_subsets
    from mme2e.evaluation import evaluate as score

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
    from mme2e.evaluation import benchmark as measure

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
    from mme2e.experiments import read_experiment, run_experiment
    from mme2e.training.allocation import keep_freed_memory

    settings = read_experiment(file, data=data, seeds=seeds, changes=set)
    keep_freed_memory()
    result = run_experiment(settings, out=out, dry_run=dry_run, only_report=only_report)
    return EXIT_OK if dry_run or result.complete else EXIT_INCOMPLETE


def predict(
    run: Path,
    video: Path,
    transcript: str | None = None,
    out: Path | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: str | None = None,
    audio_channel: int | None = None,
    picture: Path | None = None,
    device: str = "auto",
) -> int:
    """Recognises the emotions of a video: probabilities, decisions and what they rest on.

    Args:
        run: Run folder.
        video: Any file with a picture, with sound, or both.
        transcript: Words that are spoken: a text file, or the text itself.
        out: JSON file to write.
        start_s: Where to start, in seconds.
        end_s: Where to end, in seconds; the end of the file when not given.
        region: Part of the picture with the speaker: x,y,width,height in pixels.
        audio_channel: Channel with the speaker's voice, from 0; all are mixed when not given.
        picture: PNG, SVG or PDF to draw, of the cells that MESM kept of each face crop and mel chunk.
        device: auto, cpu, cuda, cuda:1, ...
    """
    from mme2e.inference import check_writable, load, parse_region, read_transcript

    # Mistakes before the model is loaded.
    words, rectangle = read_transcript(transcript), parse_region(region)
    if out is not None:
        check_writable(out)
    if picture is not None:
        from mme2e.inference.pictures import check_picture

        check_picture(picture)
    result = load(run, device=device).predict(
        video,
        transcript=words,
        start_s=start_s,
        end_s=end_s,
        region=rectangle,
        audio_channel=audio_channel,
        picture=picture,
    )
    result.print()
    if out is not None:
        result.write_json(out)
    return EXIT_OK


def picture(run: Path, data: Path, utterance: str, out: Path, device: str = "auto") -> int:
    """Draws which cells of an utterance's face crops and mel chunks a run of MESM kept.

    Args:
        run: Run folder.
        data: Prepared corpus.
        utterance: Id, in any split.
        out: PNG, SVG or PDF to write.
        device: auto, cpu, cuda, cuda:1, ...
    """
    from mme2e.inference.utterance_picture import draw_utterance

    draw_utterance(run, data=data, utterance=utterance, out=out, device=device)
    print(f"{out}: what {run} kept of utterance {utterance}")  # noqa: T201
    return EXIT_OK

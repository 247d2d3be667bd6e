"""`--datapath`: a prepared corpus, or the authors' processed data, which are prepared once."""

import os
from dataclasses import replace
from pathlib import Path

from mme2e.config import PrepareSettings
from mme2e.console import screen, show
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.feature_schema import FeaturesInfo
from mme2e.data.features import load_features
from mme2e.data.rows import digest
from mme2e.data.schema import CORPUS_FILE
from mme2e.errors import UserError
from mme2e.models.acoustic_feature_sets import acoustic_columns
from mme2e.preparation.prepare import prepare
from mme2e.reference.command_line.options import Options
from mme2e.reference.layout import ReferenceCorpus
from mme2e.reference.prepare_features import copy_reference_features

CACHE_FOLDER = ".mme2e"
INTERVAL_MS = 500


def open_data(options: Options) -> Corpus:
    """The prepared corpus that the options mean; made when it is not there yet.

    Args:
        options: `datapath`, `dataset` and what decides about preparation.

    Raises:
        UserError: The folder holds neither, cannot be prepared, or does not fit the options.
    """
    datapath = Path(options.datapath)
    if (datapath / CORPUS_FILE).is_file():
        corpus = load_corpus(datapath)
        _refuse_of_preparation(options)
    else:
        corpus = load_corpus(_prepared(options, datapath))
    _check(corpus, options)
    return corpus


def with_features(options: Options, corpus: Corpus) -> Options:
    """The options of a baseline with the acoustic feature set that holds when none is given.

    Raises:
        UserError: The corpus has no features, or of other sizes than the options say.
    """
    info = load_features(corpus).info
    feature_set = options.audio_feature_type
    acoustic = info.acoustic
    if feature_set is None and acoustic is not None and acoustic.kind == "reference":
        feature_set = 0 if max(acoustic_columns(0)) < acoustic.size else None
    _check_sizes(options, info, feature_set)
    return replace(options, audio_feature_type=feature_set)


def _prepared(options: Options, datapath: Path) -> Path:
    """Folder of the authors' data in prepared form."""
    name = f"{options.dataset.upper()}_RAW_PROCESSED"
    meta = datapath / name / "meta.pkl"
    if not meta.is_file():
        others = [word for word in ("iemocap", "mosei") if (datapath / f"{word.upper()}_RAW_PROCESSED").is_dir()]
        hint = f"; --dataset {others[0]} is there" if others and options.dataset not in others else ""
        raise UserError(
            f"--datapath {datapath} holds no prepared corpus ({CORPUS_FILE}) and no {name}/meta.pkl{hint}; "
            "'mme2e prepare' makes the first of a raw corpus"
        )
    settings = PrepareSettings(
        frame_interval_ms=options.img_interval or INTERVAL_MS, jobs=options.jobs or os.cpu_count() or 1
    )
    out = Path(options.prepared) if options.prepared else _cache(options, datapath, meta, settings)
    known = (out / CORPUS_FILE).is_file()
    corpus: ReferenceCorpus = options.dataset  # type: ignore[assignment]  # one of the choices
    messages = screen(stderr=True)
    if not known:
        show(f"{datapath}: preparing it, this once, in {out}", console=messages)
        summary = prepare("reference", datapath, out, settings, corpus=corpus, source_fps=options.source_fps)
        show(*summary.report(), console=messages)
        return out
    show(f"{datapath}: prepared before, in {out}", console=messages)
    if options.hand_crafted:
        show(copy_reference_features(datapath, out, corpus=corpus), console=messages)
    return out


def _cache(options: Options, datapath: Path, meta: Path, settings: PrepareSettings) -> Path:
    """A folder of its own for each state of the labels and lists and each way to prepare them."""
    lists = sorted((datapath / f"{options.dataset.upper()}_SPLIT").glob("*"))
    state = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in (meta, *lists)]
    key = digest([state, settings.frame_interval_ms, options.source_fps])[:8]
    out = datapath / CACHE_FOLDER / f"{options.dataset}-{key}"
    if not out.exists() and not os.access(datapath, os.W_OK):
        raise UserError(f"{datapath} cannot be written: give --prepared FOLDER for the prepared data")
    return out


def _refuse_of_preparation(options: Options) -> None:
    for name in ("prepared", "source_fps", "jobs"):
        if name in options.given:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is of preparing, but --datapath {options.datapath} is a prepared corpus already")


def _check(corpus: Corpus, options: Options) -> None:
    info = corpus.info
    emotions = len(info.label_names)
    if options.num_emotions not in (None, emotions):
        names = ", ".join(info.label_names)
        raise UserError(
            f"--num-emotions {options.num_emotions} does not fit {corpus.folder}, which has {emotions}: {names}"
        )
    if "dataset" in options.given and info.name in ("iemocap", "mosei") and info.name != options.dataset:
        raise UserError(f"--dataset {options.dataset} does not fit {corpus.folder}, which is {info.name}")
    if options.img_interval not in (None, info.frame_interval_ms):
        raise UserError(
            f"--img-interval {options.img_interval} does not fit {corpus.folder}, "
            f"prepared with a frame every {info.frame_interval_ms} ms"
        )


def _check_sizes(options: Options, info: FeaturesInfo, feature_set: int | None) -> None:
    if options.hfc_sizes is None:
        return
    for letter, name, asked in zip("tav", ("text", "acoustic", "visual"), options.hfc_sizes, strict=True):
        found = info.modality(name)
        if letter not in options.modalities or found is None:
            continue
        chosen = letter == "a" and feature_set is not None
        size = len(acoustic_columns(feature_set)) if chosen and feature_set is not None else found.size
        if asked != size:
            by = f" with --audio-feature-type {feature_set}" if chosen else ""
            sizes_given = " ".join(map(str, options.hfc_sizes))
            raise UserError(f"--hfc-sizes {sizes_given}: there are {size} {name} features a step{by}, not {asked}")

"""`--ckpt`: a run folder, a file in one, or a checkpoint of the reference, which is imported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from mme2e.config import MODALITIES
from mme2e.data.corpus import Corpus
from mme2e.data.features import load_features
from mme2e.data.rows import digest
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.models.acoustic_feature_sets import acoustic_columns
from mme2e.reference.baselines import baseline_of
from mme2e.reference.checkpoint import read_state_dict
from mme2e.reference.command_line.data_folder import with_features
from mme2e.reference.command_line.options import Options, value_at
from mme2e.reference.command_line.translation import MODEL_NAMES, model_values, text_model_of_size
from mme2e.reference.import_checkpoint import import_checkpoint
from mme2e.runs.folder import NO_TOKENIZER, RunInfo, load_run, read_info, save_run
from mme2e.runs.info import CONFIG_FILE

IMPORT_FOLDER = Path("savings/imported")


def run_folder_of(options: Options, corpus: Corpus) -> Path:
    """The run folder that `--ckpt` means.

    Args:
        options: With `ckpt`; what its weights do not show comes from `modalities`, `trans_nheads`,
            `sparse_threshold`, `text_model` and `audio_feature_type`.
        corpus: Its emotions are those of a checkpoint of the reference, which has no names, in order.

    Raises:
        UserError: There is none, it cannot be read, or it is of another model than the options say.
    """
    assert options.ckpt is not None
    path = Path(options.ckpt)
    if not path.exists():
        raise UserError(f"--ckpt {path}: there is no such file or folder")
    # A run folder, or its model.safetensors, or its checkpoints/best.ckpt.
    run = next((folder for folder in (path, *path.resolve().parents[:2]) if (folder / CONFIG_FILE).is_file()), None)
    if run is None and path.is_dir():
        raise UserError(f"--ckpt {path} is not a run folder: it has no {CONFIG_FILE}")
    if run is None:
        run = _imported(path, options, corpus)
    if options.scores_only:
        _check_same_model(run, read_info(run), options)
    return run


def _check_same_model(run: Path, info: RunInfo, options: Options) -> None:
    """Refuses options about the network that were given and are not true of the run."""
    if options.num_emotions not in (None, len(info.label_names)):
        raise UserError(
            f"--num-emotions {options.num_emotions} does not fit {run}, which recognises {len(info.label_names)}"
        )
    if "model" not in options.given:
        options = replace(options, model=next(o for o, ours in MODEL_NAMES.items() if ours == info.model.name))
    for setting, (name, value) in model_values(options).items():
        found = value_at(info.model, setting)
        if setting == "modalities" and sorted(found) == sorted(str(value)):
            continue
        if name in options.given and found != value:
            flag, asked = name.replace("_", "-"), getattr(options, name)
            raise UserError(f"{run} is another model: its {setting} is {found}, but --{flag} is {asked}")


def _imported(path: Path, options: Options, corpus: Corpus) -> Path:
    """Run folder with the weights of a checkpoint of the reference; made once."""
    weights = read_state_dict(path)
    modalities = _modalities(path, weights, options)
    baseline = baseline_of(weights) is not None
    if baseline:
        options = with_features(options, corpus)
    text_model = options.text_model
    if text_model is None and "text_model_size" in options.given:
        text_model = text_model_of_size(options)
    names, state = corpus.info.label_names, path.stat()
    asked = [modalities, options.trans_nheads, options.sparse_threshold, text_model, options.audio_feature_type]
    key = digest([str(path.resolve()), state.st_size, state.st_mtime_ns, names, asked])[:8]
    run = IMPORT_FOLDER / f"{path.stem}-{key}"
    if (run / CONFIG_FILE).is_file() and NO_TOKENIZER not in read_info(run).provenance:
        return run
    import_checkpoint(
        path,
        run,
        text_model=text_model,
        modalities=modalities,
        num_heads=options.trans_nheads,
        top_p=options.sparse_threshold,
        label_names=names,
    )
    if baseline and "a" in modalities and options.audio_feature_type is not None:
        _choose_columns(run, options.audio_feature_type, corpus)
    return run


def _modalities(path: Path, weights: Mapping[str, Tensor], options: Options) -> str:
    """What a checkpoint of the reference was trained with: it always has all branches, but as many fusion weights."""
    fusion = weights.get("weighted_fusion.weight")
    count = len(options.modalities) if fusion is None else fusion.shape[-1]
    if count == len(options.modalities):
        return options.modalities
    if count == len(MODALITIES):
        return MODALITIES
    raise UserError(
        f"--ckpt {path} was trained with {count} of the modalities, but --modalities are '{options.modalities}': "
        "give those it was trained with, or make a run folder of it with 'mme2e import-checkpoint'"
    )


def _choose_columns(run: Path, feature_set: int, corpus: Corpus) -> None:
    """Lets an imported baseline choose its acoustic features by itself: what the reference gave it had been chosen."""
    loaded, acoustic = load_run(run), load_features(corpus).info.acoustic
    features = loaded.info.model.features
    chosen = len(acoustic_columns(feature_set))
    if features.acoustic_size != chosen:
        raise UserError(
            f"--audio-feature-type {feature_set} has {chosen} features, but {run.name} reads {features.acoustic_size}"
        )
    size = None if acoustic is None else acoustic.size
    settings = replace(
        loaded.info.model, features=replace(features, acoustic_size=size, audio_feature_type=feature_set)
    )
    model = build_model(settings, num_emotions=len(loaded.info.label_names))
    model.load_state_dict(loaded.model.state_dict())
    save_run(run, model=model, info=replace(loaded.info, model=settings))

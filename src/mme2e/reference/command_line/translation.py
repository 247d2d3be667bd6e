"""`Options` to the settings of `mme2e train`, and what contradicts itself on the way."""

from pathlib import Path

from mme2e.command_line import settings_from_words
from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.reference.command_line.options import BASELINES, OPTIONS, Options, option

MODEL_NAMES = {"mme2e": "fe2e", "mme2e_sparse": "mesm", "lf_rnn": "lf_rnn", "lf_transformer": "lf_transformer"}
_NEEDED = ("batch_size", "learning_rate", "epochs")
_FUSIONS = {"feature_dim": "early"}


def check_options(options: Options) -> None:
    """Refuses what contradicts itself, whatever the data.

    Raises:
        UserError: Naming the options.
    """
    model, given = options.model, options.given
    baseline = model in BASELINES
    if options.hand_crafted and not baseline and not (options.scores_only and "model" not in given):
        raise UserError(f"--hand-crafted requires {' or '.join(BASELINES)}; --model {model} reads raw signals")
    if options.test and options.valid:
        raise UserError("--test and --valid: one of them")
    if options.scores_only and options.ckpt is None:
        raise UserError(f"--{'test' if options.test else 'valid'} requires --ckpt, what is to be scored")
    if options.ckpt_mod is not None and (options.scores_only or options.ckpt is None):
        raise UserError("--ckpt-mod requires --ckpt and training: it names the branches that training starts from")
    if options.hfc_sizes is not None and (len(options.hfc_sizes) != 3 or min(options.hfc_sizes) < 1):
        sizes = " ".join(map(str, options.hfc_sizes))
        raise UserError(f"--hfc-sizes requires three sizes, of text, acoustic and visual features, not {sizes}")
    if options.scores_only:
        if options.more:
            raise UserError(
                f"settings behind -- are of training: '{options.more[0]}' does not go with --test or --valid"
            )
        return
    missing = ["/".join(option(name).flags) for name in _NEEDED if name not in given]
    if missing:
        raise UserError(f"the following options are required to train: {', '.join(missing)}")
    if baseline and not options.hand_crafted:
        raise UserError(f"--model {model} reads hand-crafted features: add --hand-crafted")
    if model == "mme2e_sparse" and not ("t" in options.modalities and len(options.modalities) > 1):
        raise UserError(
            f"--model {model} selects by the text: --modalities must include t and a or v, not '{options.modalities}'"
        )


def without_effect(options: Options) -> list[str]:
    """What to say about options that were given and change nothing in training this model."""
    reasons = []
    for row in OPTIONS:
        if row.name not in options.given:
            continue
        if options.model not in row.models:
            reasons.append(f"{row.flags[-1]} is for {' and '.join(row.models)}, not for {options.model}")
        elif options.fusion != _FUSIONS.get(row.name, options.fusion):
            reasons.append(f"{row.flags[-1]} is for --fusion {_FUSIONS[row.name]}")
    return reasons


def model_values(options: Options) -> dict[str, tuple[str, object]]:
    """What the options say about the network: name of the option and value, by setting, without `model.`."""
    values: dict[str, tuple[str, object]] = {
        "name": ("model", MODEL_NAMES[options.model]),
        "modalities": ("modalities", options.modalities),
        "fusion": ("fusion", options.fusion),
        "feature_dim": ("feature_dim", options.feature_dim),
    }
    if options.model in BASELINES:
        values["features.audio_feature_type"] = ("audio_feature_type", options.audio_feature_type)
    else:
        values |= {
            "text.max_length": ("text_max_len", options.text_max_len),
            "trans_dim": ("trans_dim", options.trans_dim),
            "num_heads": ("trans_nheads", options.trans_nheads),
        }
    if options.model == "mme2e_sparse":
        values["top_p"] = ("sparse_threshold", options.sparse_threshold)
    if options.model == "lf_rnn":
        values |= {
            "rnn.num_layers": ("num_layers", options.num_layers),
            "rnn.hidden_size": ("hidden_size", options.hidden_size),
            "rnn.bidirectional": ("bidirectional", options.bidirectional),
            "rnn.gru": ("gru", options.gru),
            "rnn.dropout": ("dropout", options.dropout),
        }
    else:
        values |= {"num_layers": ("trans_nlayers", options.trans_nlayers), "dropout": ("dropout", options.dropout)}
    return values


def train_words(options: Options, *, seed: int, accelerator: str = "auto", init: Path | None = None) -> list[str]:
    """The options of `mme2e train` that say the same.

    Args:
        options: What was asked for; `check_options` has nothing against it.
        seed: One of the seeds.
        accelerator: auto, cpu or gpu.
        init: Run folder that training starts from.
    """
    values: dict[str, object] = {f"model.{name}": value for name, (_, value) in model_values(options).items()}
    if options.model not in BASELINES:
        values["model.text.model"] = options.text_model or text_model_of_size(options)
    values |= {
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "text_lr_factor": options.text_lr_factor,
        "weight_decay": options.weight_decay,
        "epochs": options.epochs,
        "early_stop": max(0, options.early_stop),
        "gradient_clip": max(0.0, options.clip),
        "scheduler": "cosine" if options.scheduler else "none",
        "loss": options.loss,
        "optimizer": options.optim,
        "seed": seed,
        "accelerator": accelerator,
    }
    if init is not None:
        values |= {"init.run": init, "init.modalities": options.ckpt_mod}
    words = [f"--{name.replace('_', '-')}={_written(value)}" for name, value in values.items() if value is not None]
    return words + list(options.more)


def text_model_of_size(options: Options) -> str:
    """The reference's text encoder, by its name on the Hugging Face Hub."""
    return f"albert/albert-{options.text_model_size}-v2"


def train_settings(words: list[str]) -> TrainSettings:
    """The settings that `mme2e train` makes of those words.

    Raises:
        UserError: They contradict each other, or a word is unknown.
    """
    return settings_from_words(TrainSettings, words, "mme2e train")


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

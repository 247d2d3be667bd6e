"""The options of the reference's command line: spellings, defaults, what each does here and what it did there."""

from dataclasses import dataclass, fields
from typing import Any

from mme2e.config import MODALITIES

END_TO_END = ("mme2e", "mme2e_sparse")
BASELINES = ("lf_rnn", "lf_transformer")
MODELS = (*END_TO_END, *BASELINES)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for, under the names of the long options; the defaults are the reference's.

    None stands for a default that depends on something else; `OPTIONS` says on what. `given` names the options that
    were on the command line, `more` holds the words behind `--`.
    """

    batch_size: int = 8
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 0
    early_stop: int = 5
    cuda: str | None = None
    clip: float = -1.0
    scheduler: bool = False
    seed: tuple[int, ...] = (0,)
    loss: str = "bce"
    optim: str = "adam"
    text_lr_factor: float = 10.0
    model: str = "mme2e"
    text_model_size: str = "base"
    text_model: str | None = None
    fusion: str = "late"
    feature_dim: int = 256
    sparse_threshold: float = 0.9
    hfc_sizes: tuple[int, ...] | None = None
    trans_dim: int = 512
    trans_nlayers: int = 2
    trans_nheads: int = 8
    audio_feature_type: int | None = None
    num_emotions: int | None = None
    img_interval: int | None = None
    hand_crafted: bool = False
    text_max_len: int = 300
    datapath: str = "./data"
    dataset: str = "iemocap"
    modalities: str = MODALITIES
    valid: bool = False
    test: bool = False
    ckpt: str | None = None
    ckpt_mod: str | None = None
    dropout: float = 0.1
    num_layers: int = 1
    hidden_size: int | None = None
    bidirectional: bool = True
    gru: bool = False
    out: str | None = None
    resume: bool = False
    prepared: str | None = None
    source_fps: float = 30.0
    jobs: int | None = None
    given: frozenset[str] = frozenset()
    more: tuple[str, ...] = ()

    @property
    def scores_only(self) -> bool:
        """Whether a checkpoint is scored and nothing is trained."""
        return self.test or self.valid


@dataclass(frozen=True, kw_only=True)
class Option:
    """A row of the table.

    Attributes:
        flags: Short and long spelling.
        does: What it does here.
        did: What the reference did with it, where that is something else.
        sets: Settings of `mme2e train` that it sets.
        default: What holds without it, where `Options` does not say so.
        kind: Type of a value; bool is a switch.
        choices: Values that there are; any when empty.
        many: Whether it takes several values.
        models: Models that read it.
    """

    flags: tuple[str, ...]
    does: str
    did: str = "the same"
    sets: tuple[str, ...] = ()
    default: str = ""
    kind: type = str
    choices: tuple[str | int, ...] = ()
    many: bool = False
    models: tuple[str, ...] = MODELS

    @property
    def name(self) -> str:
        """Field of `Options`."""
        return self.flags[-1].removeprefix("--").replace("-", "_")

    @property
    def default_text(self) -> str:
        """The default, for people."""
        value = _DEFAULTS[self.name]
        if self.default:
            return self.default
        return "off" if value is False else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def option(name: str) -> Option:
    """The row of a field of `Options`."""
    return next(row for row in OPTIONS if row.name == name)


def table() -> str:
    """The table of docs/reference_command_line.md: a row an option, in Markdown."""
    rows = ["| option | without it | here | sets | the reference |", "|---|---|---|---|---|"]
    rows += [_row(row) for row in OPTIONS]
    return "\n".join(rows) + "\n"


def _row(row: Option) -> str:
    values = " \\| ".join(map(str, row.choices))
    spelled = " ".join(f"`{flag}`" for flag in row.flags) + (f" {values}" if values else "")
    sets = " ".join(f"`{name}`" for name in row.sets)
    return f"| {spelled} | {row.default_text} | {row.does} | {sets} | {row.did} |"


def value_at(settings: Any, path: str) -> Any:
    """A setting by its name, with dots: `text.max_length`."""
    for part in path.split("."):
        settings = getattr(settings, part)
    return settings


_DEFAULTS = {field.name: field.default for field in fields(Options)}
_DEAD = "parsed, never read"

OPTIONS: tuple[Option, ...] = (
    Option(flags=("-bs", "--batch-size"), kind=int, default="required to train, else 8", sets=("batch_size",),
           does="utterances a step"),
    Option(flags=("-lr", "--learning-rate"), kind=float, default="required to train", sets=("learning_rate",),
           does="learning rate"),
    Option(flags=("-wd", "--weight-decay"), kind=float, sets=("weight_decay",), does="weight decay"),
    Option(flags=("-ep", "--epochs"), kind=int, default="required to train", sets=("epochs",), does="most epochs"),
    Option(flags=("-es", "--early-stop"), kind=int, sets=("early_stop",),
           does="epochs without a better validation F1 before training stops; 0 or less: never",
           did="the same; 0 stopped after one epoch"),
    Option(flags=("-cu", "--cuda"), default="the first GPU, if there is one", sets=("accelerator",),
           does="number of the GPU; on a machine without it the CPU, with a warning; cpu: the CPU",
           did="the same, without the warning"),
    Option(flags=("-cl", "--clip"), kind=float, sets=("gradient_clip",),
           does="largest norm of the gradient; 0 or less does not clip"),
    Option(flags=("-sc", "--scheduler"), kind=bool, sets=("scheduler",),
           does="the learning rate falls to zero along a cosine"),
    Option(flags=("-se", "--seed"), many=True, sets=("seed",),
           does="seed; several (0 1 2 or 0,1,2) train a run each, and the mean is shown", did="one seed"),
    Option(flags=("--loss",), choices=("bce", "ce", "l1", "mse"), sets=("loss",),
           does="bce, l1, mse: of each emotion on its own, over probabilities; ce: over all emotions",
           did="bce the same; ce crashed; l1 and mse over logits, then scored as ce, and crashed"),
    Option(flags=("--optim",), choices=("adam", "sgd"), sets=("optimizer",), does="optimizer",
           did=f"{_DEAD}: adam"),
    Option(flags=("--text-lr-factor",), kind=float, models=END_TO_END, sets=("text_lr_factor",),
           does="text encoder and text head learn at the learning rate divided by this"),
    Option(flags=("-mo", "--model"), choices=MODELS, sets=("model.name",),
           does="mme2e is fe2e, mme2e_sparse is mesm"),
    Option(flags=("--text-model-size",), choices=("base", "large", "xlarge"), models=END_TO_END,
           sets=("model.text.model",), does="albert/albert-SIZE-v2 of the Hugging Face Hub"),
    Option(flags=("--text-model",), default="none", models=END_TO_END, sets=("model.text.model",),
           does="instead, for instance offline: a folder with an encoder, another name on the Hub, or scratch for a "
           "small one trained on the corpus", did="not there"),
    Option(flags=("--fusion",), choices=("early", "late"), sets=("model.fusion",),
           does="late: weighted sum of logits; early: the features, side by side, are classified",
           did=f"{_DEAD} (default early): always late"),
    Option(flags=("--feature-dim",), kind=int, sets=("model.feature_dim",),
           does="early fusion: features of each modality", did=_DEAD),
    Option(flags=("-st", "--sparse-threshold"), kind=float, models=("mme2e_sparse",), sets=("model.top_p",),
           does="share of the attention that each sparse stage keeps"),
    Option(flags=("-hfcs", "--hfc-sizes"), kind=int, many=True, models=BASELINES,
           default="those of the features",
           does="sizes of text, acoustic and visual features, as the model gets them (300 144 35 for IEMOCAP); refused "
           "where the features have others",
           did="default 300 144 35; crashed where the features had others"),
    Option(flags=("--trans-dim",), kind=int, models=END_TO_END, sets=("model.trans_dim",),
           does="width of the transformer over frames and chunks"),
    Option(flags=("--trans-nlayers",), kind=int, models=(*END_TO_END, "lf_transformer"), sets=("model.num_layers",),
           does="layers of the transformer"),
    Option(flags=("--trans-nheads",), kind=int, models=END_TO_END, sets=("model.num_heads",),
           does="heads of the transformer"),
    Option(flags=("-aft", "--audio-feature-type"), kind=int, choices=tuple(range(7)), models=BASELINES,
           default="0 for the reference's features of IEMOCAP, else all columns",
           sets=("model.features.audio_feature_type",), does="set of acoustic features",
           did="default 0; MOSEI: not read"),
    Option(flags=("--num-emotions",), kind=int, default="those of the corpus",
           does="number of emotions; refused where the corpus or the checkpoint has another",
           did="default 4, which fits neither corpus"),
    Option(flags=("--img-interval",), kind=int, default="500, or that of the prepared corpus",
           does="time between two sampled frames, in ms"),
    Option(flags=("--hand-crafted",), kind=bool, models=BASELINES,
           does="hand-crafted features: required by lf_rnn and lf_transformer, refused by the others",
           did="crashed where it did not fit the model"),
    Option(flags=("--text-max-len",), kind=int, models=END_TO_END, sets=("model.text.max_length",),
           does="longest text in tokens", did="all texts were padded to it"),
    Option(flags=("--datapath",),
           does="folder with the authors' processed data (prepared once), or a prepared corpus",
           did="the authors' processed data"),
    Option(flags=("--dataset",), choices=("iemocap", "mosei"), does="which corpus of the folder"),
    Option(flags=("-mod", "--modalities"), sets=("model.modalities",),
           does="some of t (text), a (acoustic), v (visual)"),
    Option(flags=("--valid",), kind=bool, does="score --ckpt on the validation split",
           did="scored random weights and crashed"),
    Option(flags=("--test",), kind=bool,
           does="score --ckpt on the test split, with the thresholds chosen on validation",
           did="scored random weights and crashed"),
    Option(flags=("--ckpt",), default="none", sets=("init.run",),
           does="run folder, a file in one, or a checkpoint of the reference: what --test and --valid score, and what "
           "training starts from", did=_DEAD),
    Option(flags=("--ckpt-mod",), default="all that both models have", sets=("init.modalities",),
           does="training starts from these branches of --ckpt only", did=f"{_DEAD} (default tav)"),
    Option(flags=("-dr", "--dropout"), kind=float, sets=("model.dropout",),
           does="dropout of the transformers; lf_rnn: between layers", did=f"{_DEAD}: 0.1"),
    Option(flags=("-nl", "--num-layers"), kind=int, models=("lf_rnn",), sets=("model.rnn.num_layers",),
           does="layers of the recurrent networks", did=f"{_DEAD}: 1"),
    Option(flags=("-hs", "--hidden-size"), kind=int, models=("lf_rnn",), default="the number of features",
           sets=("model.rnn.hidden_size",), does="width of the recurrent networks",
           did=f"{_DEAD} (default 300): the number of features"),
    Option(flags=("-bi", "--bidirectional"), kind=bool, default="on", models=("lf_rnn",),
           sets=("model.rnn.bidirectional",), does="both directions; --no-bidirectional: one",
           did=f"{_DEAD} (default off): always both"),
    Option(flags=("--gru",), kind=bool, models=("lf_rnn",), sets=("model.rnn.gru",), does="GRU instead of LSTM",
           did=_DEAD),
    Option(flags=("--out",), default="savings/MODEL_MODALITIES_..._seedSEED",
           does="run folder; with several seeds, the folder of the runs", did="not there: ./savings"),
    Option(flags=("--resume",), kind=bool, does="go on with runs that were interrupted", did="not there"),
    Option(flags=("--prepared",), default="DATAPATH/.mme2e/DATASET-KEY",
           does="where the authors' data are prepared to", did="not there"),
    Option(flags=("--source-fps",), kind=float, does="images a second in the authors' data", did="not there: 30"),
    Option(flags=("--jobs",), kind=int, default="one a CPU", does="processes that prepare", did="not there"),
)  # fmt: skip

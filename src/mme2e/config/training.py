"""Settings of training."""

from dataclasses import dataclass, field
from typing import Literal

from mme2e.config.augment import AugmentSettings
from mme2e.config.checks import require, require_positive
from mme2e.config.model import MODALITIES, ModelSettings

LossKind = Literal["bce", "ce", "l1", "mse"]


@dataclass(frozen=True, kw_only=True)
class InitSettings:
    """Weights that training starts from."""

    run: str | None = None
    """Run folder with them; random ones when not given."""

    modalities: str | None = None
    """Whose branches are taken from it, some of the letters t, a, v; all that both models have when not given. The
    fusion comes along when these are all modalities of both."""

    text_run: str | None = None
    """Run folder that the text branch is taken from, whatever --init.run is."""

    acoustic_run: str | None = None
    """Run folder that the acoustic branch is taken from, whatever --init.run is."""

    visual_run: str | None = None
    """Run folder that the visual branch is taken from, whatever --init.run is."""

    def __post_init__(self) -> None:
        given = self.modalities
        if given is None:
            return
        require(self.run is not None, f"init.modalities '{given}' require init.run, the run that they are taken from")
        require(
            0 < len(given) == len(set(given)) and set(given) <= set(MODALITIES),
            f"init.modalities must be some of the letters t, a, v, each once, not '{given}'",
        )

    @property
    def runs_of_branches(self) -> dict[str, str]:
        """Runs that are given for a branch of their own, by its letter."""
        given = {"t": self.text_run, "a": self.acoustic_run, "v": self.visual_run}
        return {letter: run for letter, run in given.items() if run is not None}


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a model is trained; the defaults are the reference's."""

    model: ModelSettings = field(default_factory=ModelSettings)
    init: InitSettings = field(default_factory=InitSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    epochs: int = 40
    """Most epochs."""

    batch_size: int = 8
    """Utterances a step."""

    accumulate: int = 1
    """Steps whose gradients are added before the weights move."""

    learning_rate: float = 5e-5
    """Learning rate of everything but the text encoder."""

    text_lr_factor: float = 10.0
    """The text encoder and its head learn at --learning-rate / --text-lr-factor."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam, or stochastic gradient descent."""

    momentum: float = 0.0
    """Momentum of sgd."""

    weight_decay: float = 0.0
    """Weight decay of the optimizer."""

    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""

    scheduler: Literal["none", "cosine"] = "none"
    """`cosine`: the learning rate falls to zero over all epochs."""

    warmup_epochs: float = 0.0
    """Epochs over which the cosine schedule first rises from zero."""

    anneal_epochs: float = 0.0
    """MESM: epochs over which top-p falls from 1 to --model.top-p; training so starts dense."""

    loss: LossKind = "bce"
    """bce, l1, mse: one decision per emotion, by cross-entropy or by the absolute or squared distance of probability
    and label; ce: one emotion per utterance (single-label corpora only)."""

    targets: Literal["labels", "votes"] = "labels"
    """What is learnt (bce, ce): the labels, or of each emotion its share in the annotators' votes; an utterance without
    votes is learnt by its labels."""

    pos_weight: bool = True
    """Weigh the positives of each emotion by negatives / positives of the training split (bce)."""

    logit_adjustment: float = 0.0
    """How much of the logarithm of each emotion's share of the training split is added to its logit in training (ce),
    so that the model does not learn how frequent emotions are: 0 nothing, 1 all of it (Menon et al. 2021)."""

    early_stop: int = 6
    """Epochs without a better validation macro F1 before training stops; 0 never stops early."""

    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""

    modality_dropout: float = 0.0
    """Probability of hiding a modality of an utterance in training; one always stays, and for mesm the text."""

    modality_loss: float = 0.0
    """Weight of the loss of each modality's own logits, where that of the fused ones weighs 1 (late fusion); 0: none,
    as in the reference."""

    precision: Literal["32", "bf16", "16"] = "32"
    """Arithmetic of the forward pass; bf16 and 16 are automatic mixed precision."""

    num_workers: int = 1
    """Processes that read data beside training; 0 reads in the training process."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train."""

    devices: int = 1
    """Number of devices (data parallel)."""

    deterministic: bool = True
    """Compute only in ways that give the same numbers every time, which is slower on some GPUs; off, neither a run nor
    its resuming can be repeated bit by bit there."""

    debug: bool = False
    """Stop at the first NaN in features, naming the part of the network where it appeared; slower."""

    def __post_init__(self) -> None:
        require_positive(self, "", "epochs", "batch_size", "accumulate", "devices")
        for name in ("learning_rate", "text_lr_factor"):
            value = getattr(self, name)
            require(value > 0, f"{name} must be positive, not {value}")
        require(0 <= self.momentum < 1, f"momentum must be in [0, 1), not {self.momentum}")
        require(self.optimizer == "sgd" or self.momentum == 0, f"momentum {self.momentum} requires --optimizer sgd")
        require(
            self.targets == "labels" or self.loss in ("bce", "ce"),
            f"targets votes requires --loss bce or ce, not {self.loss}",
        )
        require(0 <= self.modality_dropout < 1, f"modality_dropout must be in [0, 1), not {self.modality_dropout}")
        require(
            self.scheduler == "cosine" or self.warmup_epochs == 0,
            f"warmup_epochs {self.warmup_epochs} requires --scheduler cosine",
        )
        require(
            self.warmup_epochs <= self.epochs,
            f"warmup_epochs {self.warmup_epochs} is more than epochs {self.epochs}",
        )
        require(
            self.anneal_epochs < self.epochs,
            f"anneal_epochs {self.anneal_epochs} leaves none of {self.epochs} epochs at model.top_p",
        )
        require(
            self.modality_loss == 0 or self.model.fusion == "late",
            f"modality_loss {self.modality_loss} requires --model.fusion late: early fusion has no logits by modality",
        )
        require(
            self.logit_adjustment == 0 or self.loss == "ce",
            f"logit_adjustment {self.logit_adjustment:g} requires --loss ce, not {self.loss}",
        )
        not_negative = (
            "logit_adjustment",
            "weight_decay",
            "modality_loss",
            "gradient_clip",
            "warmup_epochs",
            "anneal_epochs",
            "early_stop",
            "num_workers",
        )
        for name in (*not_negative, "seed"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative, not {value}")

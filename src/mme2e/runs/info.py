"""`config.yaml` of a run folder: what must be known to use a trained model. No torch is imported here."""

from dataclasses import dataclass, field
from pathlib import Path

from mme2e.config import FaceSettings, LossKind, ModelSettings
from mme2e.errors import UserError
from mme2e.records import read_record, to_yaml
from mme2e.runs.confidence import Confidence

SCHEMA_VERSION = 1
CONFIG_FILE = "config.yaml"


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a run folder says about its model.

    Attributes:
        model: The network.
        label_names: Emotions, in the order of the logits.
        multi_label: Whether an utterance may have none or several of them.
        loss: ce: the softmax over all logits is the probability of an emotion; any other: the sigmoid of its logit is.
        thresholds: Decision threshold of each emotion's probability, chosen on validation; None before that.
        confidence: Temperatures, and when the model abstains; for runs of `ce`.
        frame_interval_ms: Time between two sampled frames, in milliseconds.
        face: How faces were found.
        corpus: Name and fingerprint of the corpus it was trained on; empty when unknown.
        provenance: Anything else worth knowing, for people.
        weights_sha256: Checksum of `model.safetensors`; empty when unknown. `save_run` fills it in.
        schema_version: Version of this layout.
    """

    model: ModelSettings
    label_names: tuple[str, ...]
    multi_label: bool
    loss: LossKind = "bce"
    thresholds: tuple[float, ...] | None = None
    confidence: Confidence = field(default_factory=Confidence)
    frame_interval_ms: int = 500
    face: FaceSettings = field(default_factory=FaceSettings)
    corpus: str = ""
    provenance: dict[str, str] = field(default_factory=dict)
    weights_sha256: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        names = self.label_names
        check_label_names(names)
        if self.thresholds is not None and len(self.thresholds) != len(names):
            raise UserError(f"{len(self.thresholds)} thresholds were given for {len(names)} label names")

    def to_yaml(self) -> str:
        """The text of `config.yaml`."""
        return to_yaml(self)


def check_label_names(names: tuple[str, ...]) -> None:
    """Refuses names of emotions that do not tell them apart.

    Raises:
        UserError: There is none, or one is blank or stands twice.
    """
    if not names or not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise UserError(f"label_names must be one name or more, each once, not {', '.join(names) or 'none'}")


def read_info(folder: Path) -> RunInfo:
    """Reads `config.yaml` of a run folder.

    Raises:
        UserError: The folder is not a run folder, or the file is damaged or of a newer version.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{folder} is not a run folder: it has no {CONFIG_FILE}")
    return read_record(RunInfo, path, version=("schema_version", SCHEMA_VERSION), unknown="forbid")

"""`config.yaml` of a run folder: what must be known to use a trained model. No torch is imported here."""

import types
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from mme2e.config import FaceSettings, LossKind, ModelSettings
from mme2e.errors import UserError

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
        return yaml.safe_dump(_plain(asdict(self)), sort_keys=False, allow_unicode=True)


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
        UserError: The folder is no run folder, or the file is damaged or of a newer version.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{folder} is no run folder: it has no {CONFIG_FILE}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UserError(f"{path} has schema version {version}; this mme2e reads up to {SCHEMA_VERSION}")
    try:
        return typed_value(content, RunInfo, "the file")
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def typed_value(value: Any, wanted: Any, name: str) -> Any:
    """A value read from YAML as the annotated type; `name` is the key it stands under.

    Raises:
        UserError: It is something else.
    """
    if wanted is Any:
        return value
    origin, arguments = get_origin(wanted), get_args(wanted)
    if is_dataclass(wanted) and isinstance(value, dict):
        return _dataclass(value, wanted)
    if origin in (Union, types.UnionType):  # `X | None` is the only one used
        return None if value is None else typed_value(value, next(a for a in arguments if a is not type(None)), name)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(typed_value(item, kind, name) for item, kind in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, dict):
        return {
            typed_value(key, arguments[0], name): typed_value(item, arguments[1], name) for key, item in value.items()
        }
    if wanted is float and type(value) is int:
        return float(value)
    if origin is None and type(value) is wanted:
        return value
    raise UserError(f"{name} is {value!r}, wanted is {getattr(wanted, '__name__', None) or wanted}")


def _dataclass(value: dict[Any, Any], wanted: Any) -> Any:
    kinds = get_type_hints(wanted)
    unknown = [str(key) for key in value if key not in kinds]
    if unknown:
        raise UserError(f"unknown key '{unknown[0]}'; there are {', '.join(kinds)}")
    needed = [f.name for f in fields(wanted) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in value]
    if missing:
        raise UserError(f"'{missing[0]}' is missing")
    return wanted(**{key: typed_value(item, kinds[key], key) for key, item in value.items()})


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value

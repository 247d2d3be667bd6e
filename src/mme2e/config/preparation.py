"""Settings of sample corpora and of preparation."""

from dataclasses import dataclass, field
from typing import Literal

from mme2e.config.checks import require


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """How faces are found."""

    mode: Literal["fast", "reference"] = "fast"
    """`fast`: coarser pyramid, batches and tracking; `reference`: the settings of facenet-pytorch, frame by frame."""

    margin: int = 2
    """Margin around the face: the box grows in total by margin * side / (48 - margin) each way."""

    def __post_init__(self) -> None:
        require(0 <= self.margin < 48, f"face.margin must be in [0, 48), not {self.margin}")


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What `mme2e sample` writes."""

    layout: Literal["iemocap", "mosei", "reference-iemocap", "reference-mosei"] = "iemocap"
    """Raw layout of the real corpus to imitate, or of either the processed layout of the reference's authors."""

    utterances: int = 240
    """Number of utterances in all."""

    seed: int = 0
    """Same seed, same corpus."""

    def __post_init__(self) -> None:
        require(self.utterances >= 1, f"utterances must be at least 1, not {self.utterances}")


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Which utterances are for training, validation and test."""

    protocol: Literal["auto", "lists", "corpus", "session", "speaker", "recording"] = "auto"
    """`lists`: those of `--splits`; `corpus`: as the corpus has them; `session`: IEMOCAP, leave one session out;
    `speaker`: random, no speaker and no recording shared; `recording`: random, no recording shared. `auto`: the first
    of these that the corpus allows, `speaker` from ten groups of speakers on."""

    fold: int = 5
    """Test session of the `session` protocol (1 to 5); the session before it validates."""

    seed: int = 0
    """Seed of the `speaker` and `recording` protocols."""

    def __post_init__(self) -> None:
        require(1 <= self.fold <= 5, f"split.fold must be in 1..5, not {self.fold}")


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """How a raw corpus becomes a prepared one."""

    frame_interval_ms: int = 500
    """Time between two sampled video frames, in milliseconds."""

    jobs: int = 1
    """Recordings that are prepared at once, each in a process of its own."""

    engine: Literal["local", "ray"] = "local"
    """`local`: processes on this machine; `ray`: on a Ray cluster, whose machines must share the folders."""

    ray_address: str | None = None
    """Ray cluster to join: HOST:PORT, ray://HOST:PORT, or auto for the one on this machine. Without it, RAY_ADDRESS of
    the environment counts, else a cluster of --jobs workers is started on this machine."""

    face: FaceSettings = field(default_factory=FaceSettings)
    split: SplitSettings = field(default_factory=SplitSettings)

    splits: str | None = None
    """Lists of who is in which split: a folder with train_split.txt, valid_split.txt and test_split.txt, a CSV file
    with columns id,split, or a JSON file {id: split} or {split: [ids]}."""

    def __post_init__(self) -> None:
        require(
            self.split.protocol != "lists" or self.splits is not None,
            "split.protocol lists requires --splits DIR_OR_FILE",
        )
        require(
            self.splits is None or self.split.protocol in ("auto", "lists"),
            f"--splits requires split.protocol lists or auto, not {self.split.protocol}",
        )
        require(self.frame_interval_ms >= 1, f"frame_interval_ms must be at least 1, not {self.frame_interval_ms}")
        require(self.jobs >= 1, f"jobs must be at least 1, not {self.jobs}")
        require(
            self.ray_address is None or self.engine == "ray",
            f"ray_address {self.ray_address} requires --engine ray",
        )

"""What a starter is made of: collections, how they are put together, and which trainings follow each other."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mme2e.corpora.readers import READERS
from mme2e.errors import UserError
from mme2e.records import read_record
from mme2e.runs.info import check_label_names

BRANCHES = {"text": "t", "speech": "a", "faces": "v"}
"""Corpora that each teach one modality, by name, and its letter."""

COMPOSITES = "composites"
"""The corpus of composite utterances."""

PREPARE, ENCODER, PACK = "prepare", "encoder", "pack"
"""Steps beside the trainings, as `--until` calls them; the first is everything up to the merged corpora."""

MANIFEST = "manifest"
_NAME = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True, kw_only=True)
class CollectionSettings:
    """One collection of recordings, photographs or texts that others published.

    Attributes:
        layout: A layout of `mme2e prepare`; `manifest` for a table in CSV.
        path: Its folder or table within the folder of all data.
        title: What people call it.
        licence: Of the data.
        rename: Its labels that are called otherwise here: our name by theirs.
        drop_unnamed: Whether utterances with labels that are none of ours are left out rather than refused.
        where: Rows of a table that are used: those with these values in these columns.
        columns: Columns that are added to a table, with the value of all rows.
        recordings_of: So many rows of a table make a recording, where it has no column `recording`.
        votes: Whether the table's votes for our labels are used.
        archive: Tar file within the folder of all data that a table's files are in; they are unpacked.
        speakers: Names of groups of speakers that are also scored apart, and who is in them.
    """

    layout: str
    path: str
    title: str = ""
    licence: str = ""
    rename: dict[str, str] = field(default_factory=dict)
    drop_unnamed: bool = False
    where: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    recordings_of: int | None = None
    votes: bool = False
    archive: str | None = None
    speakers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout not in READERS:
            raise UserError(f"layout must be one of {', '.join(READERS)}, not '{self.layout}'")
        of_tables = (self.where, self.columns, self.recordings_of, self.votes, self.archive)
        if self.layout != MANIFEST and any(of_tables):
            raise UserError(
                f"where, columns, recordings_of, votes and archive require layout {MANIFEST}, not {self.layout}"
            )
        if self.recordings_of is not None and self.recordings_of < 1:
            raise UserError(f"recordings_of must be at least 1, not {self.recordings_of}")


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """How the text encoder is cut down; see `mme2e.starter.encoder.cut_encoder`.

    Attributes:
        layers: How many of its layers stay.
        vocabulary: Most word pieces.
        positions: Longest text, in tokens.
        title: What people call the large encoder.
        licence: Of its weights.
    """

    layers: int
    vocabulary: int
    positions: int
    title: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class ComposeSettings:
    """How utterances are composed; see `mme2e.compose`.

    Attributes:
        photographs: Photographs an utterance: a number, or a range.
        copies: Utterances that each audio of the split train becomes.
        seed: Decides what goes together.
        partial: Whether emotions that a branch lacks are composed without it.
    """

    photographs: str = "4"
    copies: int = 3
    seed: int = 0
    partial: bool = False


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a starter is made.

    Attributes:
        labels: Emotions, in the order of the logits.
        collections: By name, which is that of their folder.
        branches: Which collections teach text, speech and faces, in the order in which they are merged.
        encoder: The text encoder.
        compose: The composite utterances.
        stages: Trainings in their order: name and file of settings, beside the recipe. One that is called like a
            branch, or begins like it (`speech_fe2e`), learns from that branch, any other from the composite utterances.
        networks: Name of the network of a training, where it is not that of its settings.
        ships: Stage whose model is packed, when it is trained; those after it are for comparison.
        blend: Share of the weights that its branches began with in those that are packed, see `mme2e.starter.blending`.
    """

    labels: tuple[str, ...]
    collections: dict[str, CollectionSettings]
    branches: dict[str, tuple[str, ...]]
    encoder: EncoderSettings
    compose: ComposeSettings = field(default_factory=ComposeSettings)
    stages: dict[str, str]
    networks: dict[str, Literal["fe2e", "mesm"]] = field(default_factory=dict)
    ships: str
    blend: float = 0.0

    def __post_init__(self) -> None:
        check_label_names(self.labels)
        _check_names(("collections", self.collections), ("stages", self.stages))
        for name in self.collections:
            if name in (*BRANCHES, COMPOSITES):
                raise UserError(f"a collection cannot be called '{name}': the corpora made of collections are")
        if not self.branches or not set(self.branches) <= set(BRANCHES):
            raise UserError(f"branches must be some of {', '.join(BRANCHES)}, not {', '.join(self.branches) or 'none'}")
        used = [name for names in self.branches.values() for name in names]
        for name in used:
            if name not in self.collections:
                raise UserError(f"branches name the collection '{name}'; there are {', '.join(self.collections)}")
        if len(set(used)) < len(used) or set(used) != set(self.collections):
            raise UserError("each collection must be in one branch, once")
        for branch, names in self.branches.items():
            _common_renames(branch, [self.collections[name] for name in names])
        for name in self.stages:
            if name in (PREPARE, ENCODER, PACK):
                raise UserError(f"a stage cannot be called '{name}': another step is")
            required = _branch_of(name)
            if required is not None and required not in self.branches:
                raise UserError(f"stage {name} requires the branch {required}, which has no collections")
        for name in self.networks:
            if name not in self.stages:
                raise UserError(f"networks must name stages, some of {', '.join(self.stages)}, not '{name}'")
        if not 0 <= self.blend <= 1:
            raise UserError(f"blend must be in [0, 1], not {self.blend}")
        if self.ships not in self.stages:
            raise UserError(f"ships must be a stage, one of {', '.join(self.stages)}, not '{self.ships}'")

    @property
    def steps(self) -> tuple[str, ...]:
        """What `--until` may name, in order."""
        stages = list(self.stages)
        shipped = stages.index(self.ships) + 1
        return (PREPARE, ENCODER, *stages[:shipped], PACK, *stages[shipped:])

    def stages_until(self, until: str) -> tuple[str, ...]:
        """The trainings that are done when a step is the last one."""
        names = self.steps[: self.steps.index(until) + 1]
        return tuple(name for name in self.stages if name in names)

    def branches_for(self, until: str) -> tuple[str, ...]:
        """The branches that the steps up to one require: all, unless each training is that of a branch."""
        used = {self.corpus_of(name) for name in self.stages_until(until)}
        if not used or COMPOSITES in used:
            return tuple(self.branches)
        return tuple(branch for branch in self.branches if branch in used or branch == "text")

    def corpus_of(self, stage: str) -> str:
        """What a training learns from: the name of a branch, or `COMPOSITES`."""
        return _branch_of(stage) or COMPOSITES

    def renames(self, names: tuple[str, ...]) -> dict[str, str]:
        """Our label by theirs, of some collections of one branch."""
        return _common_renames("", [self.collections[name] for name in names])


def read_recipe(file: Path) -> Recipe:
    """Reads a recipe.

    Raises:
        UserError: The file cannot be read, or says what cannot be; the key is named.
    """
    return read_record(Recipe, file, unknown="forbid")


def _branch_of(stage: str) -> str | None:
    """The branch that a training learns from; None for composite utterances."""
    return next((branch for branch in BRANCHES if stage == branch or stage.startswith(f"{branch}_")), None)


def _check_names(*groups: tuple[str, dict[str, object] | dict[str, str] | dict[str, CollectionSettings]]) -> None:
    """Refuses names that are no names of folders, and groups without any."""
    for group, names in groups:
        if not names:
            raise UserError(f"{group} must name at least one")
        for name in names:
            if not _NAME.fullmatch(name):
                raise UserError(f"{group} must have names of a-z, 0-9 and _, not '{name}'")


def _common_renames(branch: str, collections: list[CollectionSettings]) -> dict[str, str]:
    common: dict[str, str] = {}
    for collection in collections:
        for old, new in collection.rename.items():
            if common.setdefault(old, new) != new:
                raise UserError(f"collections of {branch} rename '{old}' to '{common[old]}' and to '{new}'")
    return common

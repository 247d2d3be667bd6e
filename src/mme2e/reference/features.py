"""Reader of the hand-crafted features that the reference's baselines were trained on.

Expected below the data path, for PHASE = train, valid, test::

    IEMOCAP_HCF_FEATURES/PHASE_text_features.pt      {utterance: (words, 300)}
    IEMOCAP_HCF_FEATURES/PHASE_audio_features.pt     {utterance: {"L" and "R": (features, frames)}}
    IEMOCAP_HCF_FEATURES/PHASE_video_features.pt     {utterance: {"image_L_0", "image_R_0", ...: (features,)}}
    MOSEI_HCF_FEATURES/mosei_senti_hcf_PHASE.pkl     {"id", "vision", "audio", "text"}, one element an utterance
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.corpora.iemocap import turn_of
from mme2e.corpora.split_lists import SPLITS
from mme2e.corpora.utterance import Skipped
from mme2e.errors import UserError
from mme2e.reference.layout import ReferenceCorpus
from mme2e.reference.pickles import read_pickle

ACTION_UNITS = 35
"""Of IEMOCAP's visual vectors the last 35, the facial action units, are what the baselines take."""

_ODD = (AttributeError, TypeError, ValueError)  # what numbers and dictionaries of another shape give
_IMAGE = re.compile(r"^image_(?P<side>[LR])_(?P<number>\d+)$")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceFeatures:
    """Features of one utterance, float32; None where the files have none.

    Attributes:
        id: Utterance.
        text: (words, 300).
        acoustic: (frames, features).
        visual: (frames, features), of IEMOCAP those of the speaker's side.
    """

    id: str
    text: np.ndarray | None
    acoustic: np.ndarray | None
    visual: np.ndarray | None


def features_folder(datapath: Path, corpus: ReferenceCorpus) -> Path:
    """Where the features lie; the archive need not have them."""
    return datapath / f"{corpus.upper()}_HCF_FEATURES"


def read_reference_features(datapath: Path, *, corpus: ReferenceCorpus) -> Iterator[ReferenceFeatures | Skipped]:
    """Yields the features of all utterances of the three phases; one phase is in memory at a time.

    Args:
        datapath: The folder that the archive unpacks to.
        corpus: "iemocap" or "mosei".

    Yields:
        Features, and `Skipped` for an utterance or a file that cannot be used, with the reason.

    Raises:
        UserError: There is no features folder, or none of its files is there; a file is damaged, has another layout,
            or would run code.
    """
    folder = features_folder(datapath, corpus)
    if not folder.is_dir():
        raise UserError(f"{datapath} has no folder {folder.name}")
    read = _read_iemocap_phase if corpus == "iemocap" else _read_mosei_phase
    found = False
    for phase in SPLITS:
        for features in read(folder, phase):
            found |= isinstance(features, ReferenceFeatures)
            yield features
    if not found:
        raise UserError(f"{folder} has no features of any utterance")


def _read_iemocap_phase(folder: Path, phase: str) -> Iterator[ReferenceFeatures | Skipped]:
    tables: dict[str, Mapping[str, Any]] = {}
    for name in ("text", "audio", "video"):
        path = folder / f"{phase}_{name}_features.pt"
        if path.is_file():
            tables[name] = _mapping(path)
        else:
            tables[name] = {}
            yield Skipped(item=path.name, reason="missing")
    for id_ in sorted({id_ for table in tables.values() for id_ in table}):
        try:
            yield _of_turn(id_, tables)
        except _ODD as error:
            yield Skipped(item=id_, reason=f"its features are not usable: {error}")


def _of_turn(id_: str, tables: Mapping[str, Mapping[str, Any]]) -> ReferenceFeatures:
    turn = turn_of(id_)
    if turn is None:
        raise ValueError("its id is not an IEMOCAP turn")
    side = "L" if turn.left else "R"
    acoustic = tables["audio"].get(id_, {}).get(side)
    vectors = {
        int(match["number"]): vector
        for name, vector in tables["video"].get(id_, {}).items()
        if (match := _IMAGE.match(name)) and match["side"] == side
    }
    return ReferenceFeatures(
        id=id_,
        text=_matrix(tables["text"].get(id_)),
        acoustic=_matrix(None if acoustic is None else np.asarray(acoustic).T),
        visual=_matrix([np.asarray(vectors[number])[-ACTION_UNITS:] for number in sorted(vectors)] or None),
    )


def _read_mosei_phase(folder: Path, phase: str) -> Iterator[ReferenceFeatures | Skipped]:
    path = folder / f"mosei_senti_hcf_{phase}.pkl"
    if not path.is_file():
        yield Skipped(item=path.name, reason="missing")
        return
    tables = _mapping(path)
    lengths = {name: len(tables[name]) for name in ("id", "text", "audio", "vision") if name in tables}
    if len(lengths) < 4 or len(set(lengths.values())) > 1:
        raise UserError(f"{path} has {lengths}; id, text, audio and vision of one length are expected")
    for row, name in enumerate(tables["id"]):
        id_ = name.decode() if isinstance(name, bytes) else str(name)
        try:
            yield ReferenceFeatures(
                id=id_,
                text=_matrix(tables["text"][row]),
                acoustic=_matrix(tables["audio"][row]),
                visual=_matrix(tables["vision"][row]),
            )
        except _ODD as error:
            yield Skipped(item=id_, reason=f"its features are not usable: {error}")


def _mapping(path: Path) -> Mapping[str, Any]:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; a dictionary is expected")
    return content


def _matrix(value: Any) -> np.ndarray | None:
    """(steps, features) float32; None without steps."""
    if value is None:
        return None
    matrix = np.asarray(value, dtype=np.float32)
    if matrix.size == 0:
        return None
    if matrix.ndim != 2:
        raise ValueError(f"the shape {matrix.shape} is not (steps, features)")
    return matrix

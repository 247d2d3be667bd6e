"""Hand-crafted features in the files of the reference, simple ones: they try the baselines out, no more."""

import pickle
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mme2e.corpora.iemocap import turn_of
from mme2e.corpora.utterance import Utterance
from mme2e.generated.voices import SAMPLE_RATE_HZ

TEXT_SIZE = 300
ACOUSTIC_SIZE = {"iemocap": 763, "mosei": 74}
VISUAL_SIZE = {"iemocap": 40, "mosei": 35}
"""The baselines take the last 35 of IEMOCAP's."""

MOSEI_STEPS = 50
"""All matrices of MOSEI have so many rows, filled up with zeros."""

_BANDS = 34
_WINDOW = SAMPLE_RATE_HZ // 10
PICKLE_PROTOCOL = 4


class FeatureFiles:
    """Gathers the features of utterances, then writes them.

    Words become random vectors, one a word; audio the logarithmic energies of bands, ten times a second; images the
    brightness of coarse cells.

    Args:
        corpus: "iemocap" or "mosei".
    """

    def __init__(self, corpus: str) -> None:
        self._corpus = corpus
        self._rows: dict[str, list[tuple[str, Any, Any, Any]]] = defaultdict(list)

    def visual(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(cells,) of 0 to 1."""
        cells = Image.fromarray(image).convert("L").resize((5, VISUAL_SIZE[self._corpus] // 5), Image.Resampling.BOX)
        return np.asarray(cells, dtype=np.float32).ravel() / np.float32(255)

    def add(self, utterance: Utterance, audio: NDArray[np.int16], visual: dict[str, NDArray[np.float32]]) -> None:
        """Takes one utterance.

        Args:
            utterance: It has a split.
            audio: (samples,) of the speaker.
            visual: What `visual` made of each image, by the image's name.
        """
        assert utterance.split is not None
        words = [_word_vector(word) for word in (utterance.text or "").split()] or [np.zeros(TEXT_SIZE, np.float32)]
        acoustic = np.resize(_bands(audio), (ACOUSTIC_SIZE[self._corpus], max(1, len(audio) // _WINDOW)))
        self._rows[utterance.split].append((utterance.id, np.stack(words), acoustic, visual))

    def write(self, folder: Path) -> None:
        """Writes the files of all splits."""
        folder.mkdir()
        for split, rows in self._rows.items():
            if self._corpus == "mosei":
                _dump(folder / f"mosei_senti_hcf_{split}.pkl", _mosei(rows))
                continue
            _dump(folder / f"{split}_text_features.pt", {id_: text for id_, text, _, _ in rows})
            _dump(folder / f"{split}_audio_features.pt", {id_: _sides(id_, acoustic) for id_, _, acoustic, _ in rows})
            _dump(folder / f"{split}_video_features.pt", {id_: visual for id_, _, _, visual in rows})


def _dump(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, PICKLE_PROTOCOL))


def _word_vector(word: str) -> NDArray[np.float32]:
    generator = np.random.default_rng(zlib.crc32(word.strip(".,?!").lower().encode()))
    return generator.standard_normal(TEXT_SIZE).astype(np.float32)


def _bands(audio: NDArray[np.int16]) -> NDArray[np.float32]:
    """(34, windows)."""
    windows = max(1, len(audio) // _WINDOW)
    padded = np.resize(np.append(audio, np.zeros(_WINDOW)), windows * _WINDOW).reshape(windows, _WINDOW) / 32768
    power = np.abs(np.fft.rfft(padded)) ** 2
    bands = np.stack([part.mean(axis=1) for part in np.array_split(power, _BANDS, axis=1)])
    return np.log(bands + 1e-6).astype(np.float32)


def _sides(id_: str, acoustic: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The speaker's side; the other one is silent."""
    turn = turn_of(id_)
    assert turn is not None
    silence = np.full_like(acoustic, np.log(1e-6))
    return {"L": acoustic if turn.left else silence, "R": silence if turn.left else acoustic}


def _mosei(rows: list[tuple[str, Any, Any, Any]]) -> dict[str, NDArray[Any]]:
    def fixed(matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        filled = np.zeros((len(matrices), MOSEI_STEPS, matrices[0].shape[1]), np.float32)
        for row, matrix in enumerate(matrices):
            filled[row, : len(matrix)] = matrix[:MOSEI_STEPS]
        return filled

    return {
        "id": np.array([id_ for id_, _, _, _ in rows]),
        "text": fixed([text for _, text, _, _ in rows]),
        "audio": fixed([acoustic.T for _, _, acoustic, _ in rows]),
        "vision": fixed([np.stack(list(visual.values())[::3]) for _, _, _, visual in rows]),
    }

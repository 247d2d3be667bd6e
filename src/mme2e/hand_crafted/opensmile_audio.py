"""Acoustic features with openSMILE: the low-level descriptors of two standard sets."""

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mme2e.data.feature_schema import ModalityFeatures
from mme2e.errors import UserError
from mme2e.hand_crafted.audio_steps import HOP_MS, waveform_of, window_means
from mme2e.media.audio import SAMPLE_RATE_HZ

SHORTEST = SAMPLE_RATE_HZ // 5
"""Samples; openSMILE returns nothing for less than some of its windows, so that shorter audio ends in silence."""

_SETS = {"egemaps": "eGeMAPSv02", "compare": "ComParE_2016"}


class OpenSmileAudio:
    """Low-level descriptors of eGeMAPS (Eyben et al. 2016) or ComParE 2016 (Schuller et al. 2016).

    Args:
        feature_set: Which.
        window_ms: Frames of 10 ms are averaged over so many ms.

    Raises:
        UserError: opensmile is not installed.
    """

    columns: tuple[str, ...] = ("audio",)

    def __init__(self, feature_set: Literal["egemaps", "compare"], window_ms: int) -> None:
        try:
            import opensmile  # noqa: F401  # is it there, with its shared library?
        except (ImportError, OSError) as error:
            raise UserError(
                "acoustic features of openSMILE require opensmile: pip install 'mme2e[features]'"
            ) from error
        self._set = _SETS[feature_set]
        self._window_ms = window_ms
        names = tuple(self._smile.feature_names)
        self.info = ModalityFeatures(
            kind="opensmile",
            version=version("opensmile"),
            size=len(names),
            columns=names,
            settings={"set": self._set, "level": "low-level descriptors", "hop_ms": HOP_MS, "window_ms": window_ms},
        )

    @cached_property
    def _smile(self) -> Any:
        import opensmile

        return opensmile.Smile(
            feature_set=opensmile.FeatureSet[self._set], feature_level=opensmile.FeatureLevel.LowLevelDescriptors
        )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_smile"}  # a handle of a C library

    def sources(self) -> list[Path]:
        """No files."""
        return []

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(windows, descriptors) float32; None without audio.

        Raises:
            MediaError: The audio is damaged.
        """
        waveform = waveform_of(row)
        if waveform is None:
            return None
        padded = np.pad(waveform, (0, max(0, SHORTEST - len(waveform))))
        frames = self._smile.process_signal(padded, SAMPLE_RATE_HZ).to_numpy()
        return window_means(frames[: 1 + len(waveform) // (SAMPLE_RATE_HZ * HOP_MS // 1000)], self._window_ms)

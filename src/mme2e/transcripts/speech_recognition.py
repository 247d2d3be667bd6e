"""Speech recognition with Whisper, through faster-whisper (extra `asr`)."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.errors import UserError
from mme2e.transcripts.cues import Cue, TimedWord
from mme2e.transcripts.tidying import one_line

SAMPLE_RATE_HZ = 16_000
MISSING = "speech recognition requires: pip install 'mme2e[asr]'"
MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
"""Of a folder with a Whisper model for CTranslate2."""


class Asr:
    """Recognises speech; for one thread at a time.

    Args:
        model: Folder with a Whisper model for CTranslate2, its name ("tiny.en", "large-v3"), or that of a repository on
            the Hugging Face Hub. What was downloaded before is taken without asking the Hub.
        device: "auto", "cpu", "cuda", "cuda:1", ...; on others it runs on the CPU.

    Raises:
        UserError: faster-whisper is not installed, or there is no such model.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self.name = Path(model).name
        self._model = _loaded(model, device)

    def transcribe(self, samples: np.ndarray, start_s: float = 0.0) -> tuple[Cue, ...]:
        """What is said in a stretch of a recording.

        Args:
            samples: int16 (samples,), mono, `SAMPLE_RATE_HZ`.
            start_s: Where the stretch begins in the recording.

        Returns:
            Cues with times of their words, in seconds of the recording; none where nothing is said.
        """
        if samples.size == 0:
            return ()
        length_s = samples.size / SAMPLE_RATE_HZ
        segments, _ = self._model.transcribe(
            samples.astype(np.float32) / 32768, word_timestamps=True, condition_on_previous_text=False
        )
        cues = []
        for segment in segments:  # they are computed one by one
            words = tuple(
                TimedWord(
                    text=one_line(word.word),
                    start_s=start_s + float(min(word.start, length_s)),
                    end_s=start_s + float(min(max(word.start, word.end), length_s)),
                )
                for word in segment.words or ()
                if word.word.strip()
            )
            first_s, last_s = (start_s + float(min(time_s, length_s)) for time_s in (segment.start, segment.end))
            if words:
                first_s, last_s = words[0].start_s, max(word.end_s for word in words)
            text = one_line(segment.text)
            if text and last_s > first_s:
                cues.append(Cue(start_s=first_s, end_s=last_s, text=text, words=words))
        return tuple(cues)


def _loaded(model: str, device: str) -> Any:
    try:
        library = importlib.import_module("faster_whisper")
    except ImportError as error:
        raise UserError(MISSING) from error
    kind, _, index = device.partition(":")
    placed: dict[str, Any] = {
        "device": kind if kind in ("auto", "cpu", "cuda") else "cpu",
        "device_index": int(index) if index.isdecimal() else 0,
    }
    folder = Path(model).expanduser()
    if folder.is_dir():
        missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{model} is not a folder of a Whisper model for CTranslate2: {', '.join(missing)} missing")
        return _started(library, str(folder), model, placed, local_files_only=True)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise UserError(f"there is no folder {model}; expected is a Whisper model's folder or name")
    try:
        return _started(library, model, model, placed, local_files_only=True)
    except UserError:
        return _started(library, model, model, placed, local_files_only=False)


def _started(library: Any, place: str, model: str, placed: dict[str, Any], *, local_files_only: bool) -> Any:
    try:
        return library.WhisperModel(place, compute_type="auto", local_files_only=local_files_only, **placed)
    except Exception as error:  # of CTranslate2, the Hub's client, the network: each has its own
        reason = one_line(str(error))[:300] or type(error).__name__
        raise UserError(
            f"the speech recognition model '{model}' cannot be loaded: {reason}; expected is the name of a Whisper "
            f"model (tiny.en, small, large-v3), or its folder"
        ) from error

"""How the mel bands of each utterance differ from those of its speaker, for models that normalise over the speaker."""

from typing import Any

import torch
from torch import Tensor

from mme2e.media.audio import decode_flac
from mme2e.media.mel_statistics import BandStatistics, statistics_of


def audio_contexts(rows: Any) -> Tensor:
    """The contexts of all rows of a split: see `BandStatistics.context_of`.

    A speaker is heard in all rows with that speaker; where a corpus does not know speakers, the recording stands in the
    row as its speaker.

    Args:
        rows: Of `Corpus.split`. What preparation wrote of the bands is used; of rows from before it did, the audio.

    Returns:
        (rows, 2, 128) float32; zeros where there is no audio.
    """
    speakers: dict[str, int] = {}
    group = torch.tensor([speakers.setdefault(speaker, len(speakers)) for speaker in rows["speaker"]])
    each = BandStatistics.unpacked([_statistics(row) for row in rows.select_columns(["audio", "mel_statistics"])])
    return each.context_of(each.grouped(group, len(speakers))[group])


def _statistics(row: dict[str, Any]) -> list[float] | None:
    if row["mel_statistics"] is not None or row["audio"] is None:
        return row["mel_statistics"]
    return statistics_of(decode_flac(row["audio"]))

"""A corpus written as the reference's authors publish theirs (`mme2e.reference.layout` reads it).

It takes what a reader of a raw layout returns and cuts it up: every image as a JPEG, all audio as WAV, labels and
text as one pickle, and hand-crafted features.
"""

import pickle
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mme2e.config import SplitSettings
from mme2e.corpora.iemocap import region_of_half, turn_of
from mme2e.corpora.split_lists import SPLITS
from mme2e.corpora.splits import assign_splits
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.generated.encoding import write_wav
from mme2e.generated.reference_features import FeatureFiles
from mme2e.media.video import read_frames

IMAGES_PER_S = 30
JPEG_QUALITY = 95
"""OpenCV's default, with which the reference's notebooks write."""

PICKLE_PROTOCOL = 4


def write_reference_layout(
    raw: RawCorpus, out: Path, *, images_per_s: float = IMAGES_PER_S, advance: Callable[[], None] | None = None
) -> None:
    """Writes a corpus in the reference's processed layout: `CORPUS_RAW_PROCESSED`, `_SPLIT` and `_HCF_FEATURES`.

    Without enough recordings for three splits there are no lists and no features.

    Args:
        raw: IEMOCAP or MOSEI, as their readers return them, with 16 kHz WAV files.
        out: The data path; it is made.
        images_per_s: Images a second.
        advance: Called after each utterance.
    """
    corpus = assign_splits(raw, SplitSettings())
    main = out / f"{corpus.name.upper()}_RAW_PROCESSED"
    features = FeatureFiles(corpus.name)
    meta = {}
    for utterance in corpus.utterances:
        folder = main / _folder(corpus.name, utterance.id)
        folder.mkdir(parents=True)
        audio = _write_audio(utterance, folder, corpus.name)
        vectors = {}
        for name, image in _images(utterance, corpus.name, images_per_s):
            Image.fromarray(image).save(folder / f"{name}.jpg", quality=JPEG_QUALITY, subsampling="4:2:0")
            vectors[name] = features.visual(image)
        label = (
            utterance.labels[0] if corpus.name == "iemocap" else [int(n in utterance.labels) for n in raw.label_names]
        )
        meta[utterance.id] = {"text": utterance.text or "", "label": label}
        features.add(utterance, audio, vectors)
        if advance:
            advance()
    (main / "meta.pkl").write_bytes(pickle.dumps(meta, PICKLE_PROTOCOL))
    ids = {split: [u.id for u in corpus.utterances if u.split == split] for split in SPLITS}
    if all(ids.values()):
        lists = out / f"{corpus.name.upper()}_SPLIT"
        lists.mkdir()
        for split, names in ids.items():
            (lists / f"{split}_split.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        features.write(out / f"{corpus.name.upper()}_HCF_FEATURES")


def _folder(corpus: str, id_: str) -> str:
    """Of IEMOCAP the dialogue's folder has the first two parts of the id, as the reference's notebook names it."""
    return f"{'_'.join(id_.split('_')[:2])}/{id_}" if corpus == "iemocap" else id_


def _images(utterance: Utterance, corpus: str, images_per_s: float) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and image: of IEMOCAP both people, each image_L_i and image_R_i, of MOSEI the whole frame."""
    assert utterance.video is not None
    assert utterance.end_s is not None
    number = int((utterance.end_s - utterance.start_s) * images_per_s)
    times_s = [utterance.start_s + index / images_per_s for index in range(number)]
    for index, frame in enumerate(read_frames(utterance.video, times_s, square_pixels=False)):
        if corpus == "mosei":
            yield f"image_{index}", frame.image
            continue
        for side in "LR":
            region = region_of_half(side == "L")
            rows = slice(region.y_px, region.y_px + region.height_px)
            yield f"image_{side}_{index}", frame.image[rows, region.x_px : region.x_px + region.width_px]


def _write_audio(utterance: Utterance, folder: Path, corpus: str) -> NDArray[np.int16]:
    """Writes the audio of the utterance, of IEMOCAP also each channel; returns the speaker's (samples,)."""
    assert utterance.audio is not None
    assert utterance.end_s is not None
    with wave.open(str(utterance.audio)) as file:
        rate_hz = file.getframerate()
        file.setpos(int(utterance.start_s * rate_hz))
        data = file.readframes(int((utterance.end_s - utterance.start_s) * rate_hz))
        samples = np.frombuffer(data, dtype="<i2").reshape(-1, file.getnchannels())
    write_wav(folder / "audio.wav", samples)
    if corpus == "mosei":
        return samples[:, 0]
    for channel, side in enumerate("LR"):
        write_wav(folder / f"audio_{side}.wav", samples[:, channel : channel + 1])
    turn = turn_of(utterance.id)
    assert turn is not None
    return samples[:, 0 if turn.left else 1]

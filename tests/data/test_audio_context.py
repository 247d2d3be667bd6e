"""Normalisation over the speaker: what of it travels from the prepared corpus to the model."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tiny_corpus import write_tiny_corpus

from mme2e.config import AudioInputSettings, ModelSettings
from mme2e.data.audio_context import audio_contexts
from mme2e.data.batch import collate
from mme2e.data.corpus import load_corpus
from mme2e.data.hand_crafted import open_dataset
from mme2e.media.audio import decode_flac
from mme2e.media.mel_statistics import BandStatistics, statistics_of

BY_RECORDING = ModelSettings(name="fe2e", modalities="a", audio=AudioInputSettings(scale="log", normalise="recording"))


def test_the_speaker_is_heard_in_all_of_its_utterances(tmp_path: Path) -> None:
    corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus", 6))
    rows = corpus.split("train")
    contexts = audio_contexts(rows)
    heard = [None if audio is None else statistics_of(decode_flac(audio)) for audio in rows["audio"]]
    each = BandStatistics.unpacked(heard)
    for position, speaker in enumerate(rows["speaker"]):
        same = torch.tensor([i for i, other in enumerate(rows["speaker"]) if other == speaker])
        whole = each[same].grouped(torch.zeros(len(same), dtype=torch.int64), 1)
        own = each[torch.tensor([position])]
        expected = own.context_of(whole) if heard[position] else torch.zeros(1, 2, 128)
        torch.testing.assert_close(contexts[position], expected[0], atol=1e-4, rtol=1e-4)


def test_what_preparation_wrote_is_used(tmp_path: Path) -> None:
    folder = write_tiny_corpus(tmp_path / "corpus", 6)
    before = audio_contexts(load_corpus(folder).split("train"))
    for path in sorted((folder / "train").glob("*.parquet")):
        table = pq.read_table(path)
        packed = [None if audio is None else statistics_of(decode_flac(audio)) for audio in table["audio"].to_pylist()]
        column = pa.array(packed, pa.list_(pa.float32()))
        index = table.column_names.index("mel_statistics")
        pq.write_table(table.set_column(index, table.schema.field("mel_statistics"), column), path)
    torch.testing.assert_close(audio_contexts(load_corpus(folder).split("train")), before)


def test_batches_have_it_for_models_that_ask(tmp_path: Path) -> None:
    corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus", 6))
    dataset = open_dataset(corpus, "train", BY_RECORDING)
    batch = collate([dataset[index] for index in range(3)])
    assert batch.audio_context is not None
    assert batch.audio_context.shape == (3, 2, 128)
    assert torch.equal(batch.select([2]).audio_context, batch.audio_context[2:])  # type: ignore[arg-type]
    usual = dataclasses.replace(BY_RECORDING, audio=AudioInputSettings())
    assert collate([open_dataset(corpus, "train", usual)[0]]).audio_context is None

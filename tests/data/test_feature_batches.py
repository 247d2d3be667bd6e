import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_corpus import write_tiny_corpus

from mme2e.config import AugmentSettings
from mme2e.data.batch import collate
from mme2e.data.corpus import load_corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.feature_schema import ModalityFeatures
from mme2e.data.feature_writer import FeatureWriter
from mme2e.data.features import load_features
from mme2e.data.loader import make_dataloader
from mme2e.errors import UserError

WORDS, STEPS, FRAMES = (3, 0, 5, 1, 2, 0), (4, 1, 0, 2, 2, 0), (0, 2, 2, 1, 0, 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus whose sound and pictures are damaged, but which has features."""
    folder = write_tiny_corpus(tmp_path_factory.mktemp("features") / "corpus")
    for split in ("train", "valid", "test"):
        path = folder / split / "00000.parquet"
        rows = pq.read_table(path)
        schema, rows = rows.schema, rows.to_pylist()
        for row in rows:
            row.update(audio=b"no sound", face_crops=[b"no picture"] * len(row["face_crops"]))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    corpus = load_corpus(folder)
    rng = np.random.default_rng(0)
    sizes = {"text": 3, "acoustic": 4, "visual": 5}
    infos = {
        name: ModalityFeatures(kind="made up", version="1", size=size, settings={}) for name, size in sizes.items()
    }
    with FeatureWriter(corpus, **infos) as writer:
        for identity, *lengths in zip(corpus.split("train")["id"], WORDS, STEPS, FRAMES, strict=True):
            matrices = {
                name: rng.normal(size=(length, size)).astype(np.float32)
                for (name, size), length in zip(sizes.items(), lengths, strict=True)
            }
            writer.write("train", identity, **matrices)
    return corpus


def test_a_batch_holds_the_features_and_nothing_else(corpus):
    features = load_features(corpus)
    dataset = UtteranceDataset(corpus, "train", features=features)
    assert dataset.left_out == ("train_005",)
    batch = collate([dataset[i] for i in (2, 0, 1)])
    assert batch.ids == ("train_002", "train_000", "train_001")
    assert batch.text_features.lengths.tolist() == [5, 3, 0]
    assert batch.acoustic_features.lengths.tolist() == [0, 4, 1]
    assert batch.visual_features.lengths.tolist() == [2, 0, 2]
    assert batch.present("t").tolist() == [True, True, False]
    assert batch.present("a").tolist() == [False, True, True]
    assert batch.present("v").tolist() == [True, False, True]
    assert batch.face_crops is batch.waveforms is batch.tokens is None
    assert len(batch) == 3
    split = features.split("train")
    for name, joined in (("text", batch.text_features), ("acoustic", batch.acoustic_features)):
        parts = [getattr(split[identity], name) for identity in batch.ids]
        assert torch.equal(
            joined.values, torch.from_numpy(np.concatenate([part for part in parts if part is not None]))
        )


@pytest.mark.parametrize(
    ("modalities", "left_out"), [("t", ["train_001", "train_005"]), ("av", ["train_005"]), ("v", [0, 4, 5])]
)
def test_only_the_modalities_asked_for(corpus, modalities, left_out):
    dataset = UtteranceDataset(corpus, "train", modalities, features=load_features(corpus))
    assert list(dataset.left_out) == [each if isinstance(each, str) else f"train_{each:03d}" for each in left_out]
    item = dataset[0]
    given = {"t": item.text_features, "a": item.acoustic_features, "v": item.visual_features}
    assert {letter for letter, matrix in given.items() if matrix is not None} == set(modalities)


def test_a_batch_without_any_words_still_has_its_columns(corpus):
    dataset = UtteranceDataset(corpus, "train", "ta", features=load_features(corpus))
    batch = collate([dataset[1]])
    assert batch.text_features.values.shape == (0, 3)
    assert batch.text_features.lengths.tolist() == [0]


def test_costs_are_the_numbers_to_read(corpus):
    dataset = UtteranceDataset(corpus, "train", "tav", features=load_features(corpus))
    wanted = [3 * w + 4 * s + 5 * f for w, s, f in zip(WORDS, STEPS, FRAMES, strict=True)]
    assert dataset.costs.tolist() == wanted[:5]


def test_long_texts_are_cut_in_words(corpus):
    dataset = UtteranceDataset(corpus, "train", "t", max_length=2, features=load_features(corpus))
    assert [len(dataset[i].text_features) for i in range(3)] == [2, 2, 1]


def test_the_loader_serves_every_utterance(corpus):
    dataset = UtteranceDataset(corpus, "train", features=load_features(corpus))
    # Word dropout is for tokens; features are not augmented.
    loader = make_dataloader(dataset, batch_size=2, num_workers=1, augment=AugmentSettings(word_dropout=0.5))
    batches = list(loader)
    assert sorted(identity for batch in batches for identity in batch.ids) == [f"train_{i:03d}" for i in range(5)]
    assert sum(len(batch.text_features.values) for batch in batches) == sum(WORDS)


def test_a_modality_without_features_is_refused(corpus, tmp_path):
    other = load_corpus(write_tiny_corpus(tmp_path / "other"))
    with FeatureWriter(other, text=ModalityFeatures(kind="x", version="1", size=2, settings={})) as writer:
        writer.write("train", "train_000", text=np.ones((1, 2)))
    with pytest.raises(UserError, match="no acoustic features, but modalities are 'ta'"):
        UtteranceDataset(other, "train", "ta", features=load_features(other))
    with pytest.raises(UserError, match="no utterance of 'valid' can be used: all have none of the modalities 't'"):
        UtteranceDataset(other, "valid", "t", features=load_features(other))

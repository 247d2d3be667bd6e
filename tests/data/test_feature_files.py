import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_corpus import write_tiny_corpus

from mme2e.data import feature_writer as feature_writer_module
from mme2e.data.corpus import load_corpus
from mme2e.data.feature_schema import FeaturesInfo, ModalityFeatures
from mme2e.data.feature_writer import FeatureWriter
from mme2e.data.features import load_features
from mme2e.errors import UserError

TEXT = ModalityFeatures(kind="made up", version="1", size=3, columns=("a", "b", "c"), settings={"seed": 0})
VISUAL = ModalityFeatures(kind="made up", version="2", size=5, settings={})


@pytest.fixture
def corpus(tmp_path):
    return load_corpus(write_tiny_corpus(tmp_path / "corpus", 5))


def write(corpus, lengths=((4, 2), (0, 3), (2, None), (1, 1)), **more):
    """Features of the first utterances of each split, with so many words and frames; returns the matrices by id."""
    rng = np.random.default_rng(0)
    truth = {}
    with FeatureWriter(corpus, text=TEXT, visual=VISUAL, **more) as writer:
        for split in corpus.splits:
            for identity, (words, frames) in zip(corpus.split(split)["id"], lengths, strict=False):
                text = rng.normal(5, 2, (words, 3))
                visual = None if frames is None else rng.normal(size=(frames, 5))
                writer.write(split, identity, text=text, visual=visual)
                truth[identity] = (text if words else None, None, visual)
    assert writer.info is not None
    return truth, writer.info


def write_text(corpus, *rows):
    """Rows of (id, matrix) of the training split."""
    with FeatureWriter(corpus, text=TEXT) as writer:
        for identity, text in rows:
            writer.write("train", identity, text=text)
    return writer.info


def test_what_is_written_is_read(corpus):
    truth, info = write(corpus)
    features = load_features(corpus.folder)
    assert features.info == info
    assert (info.text.size, info.acoustic, info.visual.size) == (3, None, 5)
    assert info.text.columns == ("a", "b", "c")
    assert info.counts["valid"] == {"text": 3, "acoustic": 0, "visual": 3}
    for name in corpus.splits:
        split = features.split(name)
        assert list(split) == list(corpus.split(name)["id"])
        for identity in split:
            for read, written in zip(split[identity], truth.get(identity, (None, None, None)), strict=True):
                assert (read is None) == (written is None)
                if read is not None:
                    assert read.dtype == np.float32
                    np.testing.assert_allclose(read, written, rtol=1e-6)


def test_steps_are_in_the_order_of_the_corpus(corpus):
    identities = corpus.split("train")["id"]
    with FeatureWriter(corpus, text=TEXT) as writer:
        for identity, words in ((identities[3], 2), (identities[1], 7)):
            writer.write("train", identity, text=np.ones((words, 3)))
    split = load_features(corpus).split("train")
    assert split.steps("text").tolist() == [0, 7, 0, 2, 0]
    assert split.steps("visual").tolist() == [0] * 5
    assert load_features(corpus).split("test").steps("text").tolist() == [0] * 5


def test_many_row_groups_read_like_one(corpus, monkeypatch):
    monkeypatch.setattr(feature_writer_module, "ROW_GROUP_BYTES", 1)
    truth, _ = write(corpus)
    assert pq.ParquetFile(corpus.folder / "features" / "train.parquet").num_row_groups == 4
    split = load_features(corpus).split("train")
    for identity in list(truth)[:4]:
        for read, written in zip(split[identity], truth[identity], strict=True):
            assert (read is None) == (written is None)
            assert read is None or np.allclose(read, written)


def test_mean_and_deviation_are_those_of_the_training_split(corpus):
    truth, info = write(corpus)
    words = np.concatenate(
        [text for name, (text, _, _) in truth.items() if name.startswith("train") and text is not None]
    )
    np.testing.assert_allclose(info.text.mean, words.mean(0), rtol=1e-6)
    np.testing.assert_allclose(info.text.std, words.std(0), rtol=1e-6)


def test_a_column_that_never_changes_has_deviation_one(corpus):
    with FeatureWriter(corpus, text=TEXT) as writer:
        for identity, value in zip(corpus.split("train")["id"], (0.1, 0.2, 0.3), strict=False):
            writer.write("train", identity, text=np.array([[1e6, 0, value]]))
    assert writer.info.text.std[:2] == (1.0, 1.0)
    assert writer.info.text.std[2] == pytest.approx(np.std([0.1, 0.2, 0.3]))
    assert writer.info.text.mean[0] == pytest.approx(1e6)


def test_without_training_features_there_are_no_statistics(corpus):
    with FeatureWriter(corpus, text=TEXT) as writer:
        writer.write("valid", corpus.split("valid")["id"][0], text=np.ones((1, 3)))
    assert load_features(corpus).info.text.mean == ()


def test_values_that_are_not_finite_become_zero_and_are_counted(corpus):
    identity = corpus.split("train")["id"][0]
    with FeatureWriter(corpus, text=TEXT) as writer:
        writer.write("train", identity, text=np.array([[np.nan, np.inf, 2.0], [1.0, -1e300, 3.0]]))
    assert writer.info.non_finite == {"text": 3}
    assert load_features(corpus).split("train")[identity].text.tolist() == [[0, 0, 2], [1, 0, 3]]


def test_the_mapping_travels_to_other_processes(corpus):
    truth, _ = write(corpus)
    split = pickle.loads(pickle.dumps(load_features(corpus).split("train")))
    np.testing.assert_allclose(split["train_000"].text, truth["train_000"][0], rtol=1e-6)
    with pytest.raises(KeyError):
        split["nobody"]


def test_the_same_features_have_the_same_fingerprint(corpus):
    first = write(corpus)[1].fingerprint
    assert write(corpus)[1].fingerprint == first
    assert write(corpus, lengths=((2, 2),))[1].fingerprint != first


@pytest.mark.parametrize(
    ("identity", "text"),
    [("train_000", np.ones((2, 4))), ("train_000", np.ones(3)), ("nobody", np.ones((2, 3)))],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(corpus, identity, text):
    with pytest.raises(ValueError, match=r"shape|no utterance"):
        write_text(corpus, ("train_001", np.ones((1, 3))), (identity, text))
    assert list((corpus.folder / "features").iterdir()) == []


def test_an_utterance_is_written_once(corpus):
    with pytest.raises(ValueError, match="twice"):
        write_text(corpus, ("train_000", np.ones((1, 3))), ("train_000", None))


def test_a_failed_writing_keeps_the_old_features(corpus):
    truth, info = write(corpus)
    with pytest.raises(ValueError, match="twice"):
        write_text(corpus, ("train_000", np.ones((1, 3))), ("train_000", None))
    assert load_features(corpus).info == info
    np.testing.assert_allclose(load_features(corpus).split("train")["train_000"].text, truth["train_000"][0], rtol=1e-6)


def test_new_features_replace_the_old_ones(corpus):
    write(corpus)
    load_features(corpus).split("train")
    (corpus.folder / "features" / ".train.parquet.1.tmp").touch()  # of a call that was killed
    with FeatureWriter(corpus, text=TEXT) as writer:
        writer.write("train", "train_000", text=np.full((1, 3), 7.0))
    features = load_features(corpus)
    assert features.info.visual is None
    assert features.split("train")["train_000"].text.tolist() == [[7, 7, 7]]
    assert {path.name for path in (corpus.folder / "features").iterdir()} == {"features.json", "train.parquet"}


def test_no_features(corpus):
    with pytest.raises(UserError, match=f"no hand-crafted features; make them with 'mme2e features {corpus.folder}'"):
        load_features(corpus)


def test_features_of_other_utterances(corpus, tmp_path):
    write(corpus)
    other = write_tiny_corpus(tmp_path / "other", 4)
    (corpus.folder / "features").rename(other / "features")
    with pytest.raises(UserError, match="were made of other utterances"):
        load_features(other)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": 1}', '{"version": 1, "text": 3}'])
def test_damaged_information(corpus, content):
    write(corpus)
    (corpus.folder / "features" / "features.json").write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        load_features(corpus)


def test_a_newer_version_is_refused(corpus):
    write(corpus)
    path = corpus.folder / "features" / "features.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(UserError, match="has version 2"):
        FeaturesInfo.read(path.parent)


def test_damaged_missing_and_foreign_files(corpus):
    write(corpus)
    path = corpus.folder / "features" / "train.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(UserError, match=r"train\.parquet is damaged"):
        load_features(corpus).split("train")
    path.unlink()
    with pytest.raises(UserError, match=r"train\.parquet is missing"):
        load_features(corpus).split("train")
    pq.write_table(pa.table({"id": ["train_000"]}), path)
    with pytest.raises(UserError, match="other columns"):
        load_features(corpus).split("train")
    with pytest.raises(UserError, match="no utterances in split 'unassigned'"):
        load_features(corpus).split("unassigned")


def test_sizes_that_do_not_fit_the_files(corpus):
    write(corpus)
    path = corpus.folder / "features" / "features.json"
    content = json.loads(path.read_text())
    content["visual"].update(size=4, mean=[], std=[])
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"does not fit features\.json"):
        load_features(corpus).split("train")

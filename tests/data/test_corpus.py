import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_corpus import LABEL_NAMES, write_tiny_corpus

from mme2e.data.corpus import ClosedSplitError, load_corpus, multi_hot
from mme2e.data.rows import CACHE_FOLDER, RowFormat
from mme2e.data.schema import PROGRESS_FOLDER, ROW_SCHEMA, CorpusInfo
from mme2e.errors import UserError

ROWS_OF_VERSION_1 = RowFormat(name="schema version 1", schema=ROW_SCHEMA, remedy="")


def test_rows_come_back_as_they_were_written(tmp_path):
    corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus"))
    written = pq.read_table(tmp_path / "corpus" / "train" / "00000.parquet").to_pylist()
    assert corpus.splits == ("train", "valid", "test")
    assert corpus.split("train").to_list() == written
    assert corpus.split("train") is corpus.split("train")


def test_labels_follow_the_order_of_the_corpus_and_texts_leave_out_the_missing(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus", multi_label=True)
    path = folder / "train" / "00000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["text"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    corpus = load_corpus(folder)
    labels = corpus.labels("train")
    assert labels.dtype == np.float32
    assert labels.tolist() == [[float(name in row["labels"]) for name in LABEL_NAMES] for row in rows]
    assert corpus.texts("train") == [row["text"] for row in rows if row["text"] is not None]


def test_an_unknown_label_is_named():
    with pytest.raises(UserError, match=r"'bored'.*angry, sad"):
        multi_hot(["bored"], ("angry", "sad"))


def test_a_corpus_prepared_again_is_never_served_stale(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus", seed=0)
    before = load_corpus(folder).split("train")[0]["audio"]
    shutil.copy(write_tiny_corpus(tmp_path / "other", seed=1) / "train" / "00000.parquet", folder / "train")
    after = load_corpus(folder).split("train")[0]["audio"]
    assert before != after
    assert len(list((folder / CACHE_FOLDER).glob("train-*.arrow"))) == 1


def test_the_fingerprint_survives_copying_and_tells_preparations_apart(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=4)
    shutil.copytree(folder, tmp_path / "copy")
    assert load_corpus(folder).fingerprint == load_corpus(tmp_path / "copy").fingerprint
    os.utime(folder / "train" / "00000.parquet")
    assert load_corpus(folder).fingerprint == load_corpus(tmp_path / "copy").fingerprint
    other = write_tiny_corpus(tmp_path / "other", utterances_per_split=5)
    assert load_corpus(folder).fingerprint != load_corpus(other).fingerprint


def test_reading_leaves_no_temporary_file(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    load_corpus(folder).split("valid")
    assert [path.suffix for path in (folder / CACHE_FOLDER).iterdir()] == [".arrow"]


def test_a_read_only_corpus_is_unpacked_in_the_cache_of_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("mme2e.data.rows.os.access", lambda path, mode: False)
    folder = write_tiny_corpus(tmp_path / "corpus")
    assert len(load_corpus(folder).split("train")) == 6
    assert not (folder / CACHE_FOLDER).exists()
    assert list((tmp_path / "cache").rglob("train-*.arrow"))


def test_a_missing_split_names_the_available_ones(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    shutil.rmtree(folder / "valid")
    with pytest.raises(UserError, match="split 'valid'; available: train, test"):
        load_corpus(folder).split("valid")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_parquet_file_is_named(tmp_path, damage):
    folder = write_tiny_corpus(tmp_path / "corpus")
    path = folder / "train" / "00000.parquet"
    pq.write_table(pq.read_table(path), path, write_page_checksum=True)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:middle],
            "flipped": content[:middle]
            + bytes(255 - byte for byte in content[middle : middle + 8])
            + content[middle + 8 :],
            "empty": b"",
            "text": b"no parquet at all",
        }[damage]
    )
    with pytest.raises(UserError, match=r"00000\.parquet is damaged"):
        load_corpus(folder).split("train")
    assert not list((folder / CACHE_FOLDER).iterdir())


def test_foreign_columns_are_refused(tmp_path):
    folder = write_tiny_corpus(tmp_path / "corpus")
    pq.write_table(pa.table({"id": ["a"]}), folder / "train" / "00000.parquet")
    with pytest.raises(UserError, match="other columns"):
        load_corpus(folder).split("train")


def test_a_full_disk_while_unpacking_is_one_line(tmp_path, monkeypatch):
    folder = write_tiny_corpus(tmp_path / "corpus")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mme2e.data.rows.RowFormat._unpack", full)
    with pytest.raises(UserError, match="No space left"):
        load_corpus(folder).split("train")


def test_folders_that_are_no_corpus(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a prepared corpus"):
        load_corpus(tmp_path)
    (tmp_path / PROGRESS_FOLDER).mkdir()
    with pytest.raises(UserError, match="not finished"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": "x"}', "\xff"])
def test_a_damaged_corpus_json_is_named(tmp_path, content):
    (tmp_path / "corpus.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"corpus\.json is damaged"):
        load_corpus(tmp_path)


def test_a_newer_schema_is_refused(tmp_path):
    path = write_tiny_corpus(tmp_path / "corpus") / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(UserError, match="schema version 99"):
        load_corpus(path.parent)


def test_corpus_json_round_trip(tmp_path):
    info = load_corpus(write_tiny_corpus(tmp_path / "corpus")).info
    (tmp_path / "again").mkdir()
    info.write(tmp_path / "again")
    assert CorpusInfo.read(tmp_path / "again") == info


def with_votes(folder, votes, split="train"):
    """Gives the first rows of a split votes; null stays in the others."""
    path = folder / split / "00000.parquet"
    rows = pq.read_table(path).to_pylist()
    for row, given in zip(rows, votes, strict=False):
        row["votes"] = given
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), path)
    return folder


class TestVotes:
    def test_they_are_rows_in_the_order_of_the_labels(self, tmp_path):
        corpus = load_corpus(with_votes(write_tiny_corpus(tmp_path / "corpus", 3), [[1.0, 0.0, 2.5], None, [0, 3, 0]]))
        votes = corpus.votes("train")
        assert votes.dtype == np.float32
        np.testing.assert_array_equal(votes, [[1, 0, 2.5], [np.nan] * 3, [0, 3, 0]])
        assert corpus.votes("valid") is None

    def test_as_many_as_labels(self, tmp_path):
        corpus = load_corpus(with_votes(write_tiny_corpus(tmp_path / "corpus", 3), [[1.0]]))
        with pytest.raises(UserError, match="votes for 1 emotions, but the corpus has 3 labels"):
            corpus.votes("train")

    def test_they_follow_other_label_names(self, tmp_path):
        corpus = load_corpus(with_votes(write_tiny_corpus(tmp_path / "corpus", 3), [[1.0, 2.0, 4.0], None]))
        first, second, third = LABEL_NAMES
        view = corpus.relabelled(("none", third, "other"), {first: "other", second: "other"}).without("test")
        np.testing.assert_array_equal(view.votes("train"), [[0, 4, 3], [np.nan] * 3, [np.nan] * 3])

    def test_a_corpus_of_version_1_loads_as_one_without(self, tmp_path):
        folder = write_tiny_corpus(tmp_path / "corpus", 3)
        for path in folder.glob("*/*.parquet"):
            pq.write_table(pq.read_table(path).drop_columns(["votes"]), path)
        info = json.loads((folder / "corpus.json").read_text())
        (folder / "corpus.json").write_text(json.dumps({**info, "schema_version": 1}))
        corpus = load_corpus(folder)
        assert corpus.info.schema_version == 1
        assert corpus.votes("train") is None
        assert corpus.split("train").column_names == ROW_SCHEMA.names
        assert corpus.split("train")["votes"] == [None] * 3
        assert corpus.split("train")["text"] == corpus.texts("train")
        assert corpus.columns("valid", ["votes", "id"]).column_names == ["votes", "id"]

    def test_what_another_version_unpacked_is_not_read(self, tmp_path):
        folder = write_tiny_corpus(tmp_path / "corpus", 3)
        load_corpus(folder).split("train")
        (unpacked,) = (folder / CACHE_FOLDER).glob("train-*.arrow")
        old = ROWS_OF_VERSION_1.unpacked([folder / "train" / "00000.parquet"], corpus=folder, stem="train")
        assert old != unpacked


class TestWithout:
    """A view of a corpus with a split closed."""

    def test_the_closed_split_cannot_be_read(self, tmp_path):
        corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus", 3))
        view = corpus.without("test")
        for ask in (view.split, view.labels, view.texts, lambda name: view.columns(name, ["id"])):
            with pytest.raises(ClosedSplitError, match="'test'"):
                ask("test")
            ask("valid")
        assert view.splits == ("train", "valid")
        assert len(corpus.split("test")) == 3

    def test_closing_goes_on_closing(self, tmp_path):
        view = load_corpus(write_tiny_corpus(tmp_path / "corpus", 1)).without("test").without("valid")
        assert view.splits == ("train",)

    def test_it_is_the_same_corpus(self, tmp_path):
        corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus", 2))
        view = corpus.without("test")
        assert view.fingerprint == corpus.fingerprint
        assert view.utterances_fingerprint == corpus.utterances_fingerprint

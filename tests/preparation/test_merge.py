"""Several prepared corpora to one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shown import shown
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_runs import TINY_MODEL

import mme2e
from mme2e.__main__ import main
from mme2e.config import FaceSettings, TrainSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.schema import CORPUS_FILE, ROW_SCHEMA, SPLITS
from mme2e.errors import UserError
from mme2e.preparation import copying

PREFIXED = ("id", "recording", "speaker")


def change(folder: Path, **changes: object) -> None:
    """Changes what `corpus.json` says."""
    content = json.loads((folder / CORPUS_FILE).read_text(encoding="utf-8"))
    (folder / CORPUS_FILE).write_text(json.dumps(content | changes), encoding="utf-8")


def without_video(folder: Path) -> None:
    """Leaves the rows of a corpus without their faces."""
    for path in folder.glob("*/*.parquet"):
        table = pq.read_table(path).to_pylist()
        empty = {name: [] for name in ("face_crops", "face_times_s", "face_flags", "face_boxes")}
        pq.write_table(pa.Table.from_pylist([row | empty for row in table], ROW_SCHEMA), path)


@pytest.fixture
def corpora(tmp_path: Path) -> list[Path]:
    """Two corpora whose utterances have the same ids."""
    return [write_tiny_corpus(tmp_path / name, seed=seed) for seed, name in enumerate(("first", "second"))]


def test_rows_are_those_of_the_corpora_with_their_names_in_front(corpora, tmp_path):
    merged = mme2e.merge(corpora, out=tmp_path / "out")
    assert (merged.counts, merged.label_names, merged.complete) == (dict.fromkeys(SPLITS, 12), LABEL_NAMES, True)
    corpus = load_corpus(tmp_path / "out")
    for split in SPLITS:
        expected = [
            row | {name: f"{folder.name}~{row[name]}" for name in PREFIXED}
            for folder in corpora
            for row in load_corpus(folder).split(split).to_list()
        ]
        assert corpus.split(split).to_list() == expected
    assert not corpus.info.multi_label
    assert (corpus.info.frame_interval_ms, corpus.info.split_protocol) == (500, "tiny, by recording")
    assert not list(tmp_path.glob(".*"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name != ".cache") == [
        "corpus.json",
        *sorted(SPLITS),
    ]


def test_corpus_json_tells_what_it_was_merged_from(corpora, tmp_path):
    mme2e.merge(corpora, out=tmp_path / "out", rename={"sad": "low"})
    info = load_corpus(tmp_path / "out").info
    assert info.label_names == ("angry", "happy", "low")
    assert info.name == "merged:first+second"
    assert info.provenance["merged from"] == [
        {
            "name": folder.name,
            "corpus": "tiny",
            "fingerprint": load_corpus(folder).fingerprint,
            "counts": dict.fromkeys(SPLITS, 6),
            "renamed": {"sad": "low"},
            "left_out": 0,
            "left_out_labels": {},
        }
        for folder in corpora
    ]


def test_labels_are_ordered_renamed_and_joined(corpora, tmp_path):
    merged = mme2e.merge(corpora, out=tmp_path / "out", labels="low,calm,angry", rename=["sad=low", "happy=low"])
    corpus = load_corpus(tmp_path / "out")
    before = corpus.columns("train", ["id", "labels"]).to_pydict()
    old = dict(zip(*load_corpus(corpora[0]).columns("train", ["id", "labels"]).to_pydict().values(), strict=True))
    names = {"sad": ["low"], "happy": ["low"], "angry": ["angry"]}
    expected = [names[old[identity.split("~")[1]][0]] for identity in before["id"]]
    assert before["labels"] == expected
    assert corpus.info.label_names == ("low", "calm", "angry")
    assert merged.label_counts["train"] == {"angry": 4, "low": 8}
    assert "calm" in shown(merged)


def test_a_label_outside_is_refused_or_left_out_and_counted(corpora, tmp_path):
    with pytest.raises(UserError, match=r"first has utterances with the label 'happy', which is not in --labels"):
        mme2e.merge(corpora, out=tmp_path / "out", labels="angry,sad")
    assert not (tmp_path / "out").exists()
    merged = mme2e.merge(corpora, out=tmp_path / "out", labels="angry,sad", drop_unnamed=True)
    assert [(each.left_out, each.left_out_labels) for each in merged.sources] == [(6, {"happy": 6})] * 2
    assert merged.counts == dict.fromkeys(SPLITS, 8)
    assert "left out: 6 utterances of second with the label 'happy'" in shown(merged)
    rows = load_corpus(tmp_path / "out").split("test").to_list()
    assert {label for row in rows for label in row["labels"]} == {"angry", "sad"}
    reasons = [each["reason"] for each in load_corpus(tmp_path / "out").info.skipped]
    assert reasons == ["label 'happy' is none of the labels: 6 utterances"] * 2


def test_a_corpus_of_several_labels_makes_the_merged_one_multi_label(corpora, tmp_path):
    several = write_tiny_corpus(tmp_path / "several", multi_label=True, utterances_per_split=9)
    mme2e.merge([corpora[0], several], out=tmp_path / "out", rename=["happy=angry"])
    corpus = load_corpus(tmp_path / "out")
    assert corpus.info.multi_label
    labels = corpus.split("train")["labels"]
    assert [] in labels
    assert ["angry", "sad"] in labels
    assert all(len(set(row)) == len(row) for row in labels)


def test_votes_follow_the_labels(corpora, tmp_path):
    for path in corpora[0].glob("*/*.parquet"):
        rows = [
            row | {"votes": None if index == 1 else [1.0, index, 4.0]}
            for index, row in enumerate(pq.read_table(path).to_pylist())
        ]
        pq.write_table(pa.Table.from_pylist(rows, ROW_SCHEMA), path)
    for path in corpora[1].glob("*/*.parquet"):  # as before there were votes
        pq.write_table(pq.read_table(path).drop_columns("votes"), path)
    mme2e.merge(corpora, out=tmp_path / "out", labels="low,calm,happy", rename=["sad=low", "angry=low"])
    votes = load_corpus(tmp_path / "out").votes("test")
    expected = [[5, 0, index] if index != 1 else [np.nan] * 3 for index in range(6)] + [[np.nan] * 3] * 6
    np.testing.assert_array_equal(votes, np.array(expected, np.float32))


def test_many_small_files_become_few(tmp_path):
    folder = write_tiny_corpus(tmp_path / "many", utterances_per_split=9)
    rows = pq.read_table(folder / "train" / "00000.parquet")
    for index in range(9):
        pq.write_table(rows.slice(index, 1), folder / "train" / f"r{index}.parquet")
    (folder / "train" / "00000.parquet").unlink()
    mme2e.merge([folder], out=tmp_path / "out")
    files = list((tmp_path / "out" / "train").iterdir())
    assert [path.name for path in files] == ["many-00000.parquet"]
    assert pq.ParquetFile(files[0]).num_row_groups == 1
    assert load_corpus(tmp_path / "out").split("train")["start_s"] == rows["start_s"].to_pylist()


def test_large_corpora_become_several_files_and_row_groups(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "SHARD_BYTES", 60_000)
    monkeypatch.setattr(copying.gathered, "__defaults__", (20_000,))
    for folder in corpora:
        for path in folder.glob("*/*.parquet"):
            pq.write_table(pq.read_table(path), path, row_group_size=1)
    mme2e.merge(corpora, out=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "train").iterdir())
    assert len(names) > 2
    assert names[:2] == ["first-00000.parquet", "first-00001.parquet"]
    rows = load_corpus(tmp_path / "out").split("train")
    expected = [row for folder in corpora for row in load_corpus(folder).split("train").to_list()]
    assert rows["audio"] == [row["audio"] for row in expected]


def test_text_alone_needs_no_common_time_between_frames(corpora, tmp_path):
    without_video(corpora[0])
    change(corpora[0], frame_interval_ms=250)
    mme2e.merge(corpora, out=tmp_path / "out")
    assert load_corpus(tmp_path / "out").info.frame_interval_ms == 500


def test_times_between_frames_must_agree(corpora, tmp_path):
    change(corpora[0], frame_interval_ms=250)
    with pytest.raises(UserError, match=r"first has 250 ms, second 500 ms"):
        mme2e.merge(corpora, out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_how_faces_were_found_is_kept_where_it_agrees_and_noted_where_not(corpora, tmp_path):
    for folder in corpora:
        change(folder, provenance={"settings": {"face": {"mode": "reference", "margin": 4}}})
    assert not mme2e.merge(corpora, out=tmp_path / "same").notes
    settings = load_corpus(tmp_path / "same").info.provenance["settings"]
    assert FaceSettings(**settings["face"]) == FaceSettings(mode="reference", margin=4)
    change(corpora[0], provenance={})
    notes = mme2e.merge(corpora, out=tmp_path / "other").notes
    assert len(notes) == 1
    assert "between first, second" in notes[0]
    assert "settings" not in load_corpus(tmp_path / "other").info.provenance


def test_the_same_again_is_nothing_to_do_and_anything_else_is_refused(corpora, tmp_path):
    first = mme2e.merge(corpora, out=tmp_path / "out")
    before = (tmp_path / "out" / CORPUS_FILE).stat().st_mtime_ns
    again = mme2e.merge(corpora, out=tmp_path / "out")
    assert again.already_done
    assert "merged before" in shown(again)
    assert (again.sources, again.label_counts) == (first.sources, first.label_counts)
    assert (tmp_path / "out" / CORPUS_FILE).stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds another prepared corpus"):
        mme2e.merge(corpora, out=tmp_path / "out", rename=["sad=low"])
    with pytest.raises(UserError, match="holds another prepared corpus"):
        mme2e.merge(corpora[:1], out=corpora[1])


def test_an_empty_folder_is_used_and_one_with_files_is_not(corpora, tmp_path):
    (tmp_path / "empty").mkdir()
    assert mme2e.merge(corpora, out=tmp_path / "empty").counts
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        mme2e.merge(corpora, out=tmp_path / "full")
    with pytest.raises(UserError, match="is a file"):
        mme2e.merge(corpora, out=tmp_path / "full" / "notes.txt")


def test_what_a_killed_merge_left_is_removed(corpora, tmp_path):
    left = tmp_path / ".out.partial" / "train"
    left.mkdir(parents=True)
    (left / "old-00000.parquet").write_bytes(b"half")
    mme2e.merge(corpora, out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("old*"))
    assert not (tmp_path / ".out.partial").exists()


def test_two_at_once_are_refused(corpora, tmp_path):
    with (
        copying.whole_folder(tmp_path / "out"),
        pytest.raises(UserError, match="another process is writing"),
        copying.whole_folder(tmp_path / "out"),
    ):
        pass


def test_a_damaged_file_leaves_nothing_behind(corpora, tmp_path):
    path = corpora[1] / "valid" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"00000\.parquet is damaged"):
        mme2e.merge(corpora, out=tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rename": ["sad=low", "sad=blue"]}, "'sad' is renamed to 'low' and 'blue'"),
        ({"rename": ["sad"]}, "rename must be OLD=NEW, as happiness=happy, not 'sad'"),
        ({"rename": ["bored=low"]}, "no corpus has that label; choose from angry, happy, sad"),
        ({"labels": "angry,sad,angry"}, "labels must be different names"),
        ({"labels": "angry,,sad"}, "labels must be different names"),
        ({"labels": ("calm",), "drop_unnamed": True}, "no utterance is left"),
    ],
)
def test_labels_that_cannot_be(corpora, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        mme2e.merge(corpora, out=tmp_path / "out", **options)
    assert not list(tmp_path.glob("*out*"))


def test_corpora_that_cannot_be(corpora, tmp_path):
    with pytest.raises(UserError, match="is, or is within, the corpus"):
        mme2e.merge(corpora, out=corpora[0])
    with pytest.raises(UserError, match="is, or is within, the corpus"):
        mme2e.merge(corpora, out=corpora[0] / "train" / "more")
    with pytest.raises(UserError, match="two of the corpora are called 'first'"):
        mme2e.merge([corpora[0], corpora[0]], out=tmp_path / "out")
    with pytest.raises(UserError, match="there is no folder"):
        mme2e.merge([tmp_path / "none"], out=tmp_path / "out")
    with pytest.raises(UserError, match="without '~'"):
        mme2e.merge([shutil.copytree(corpora[0], tmp_path / "a~b")], out=tmp_path / "out")
    with pytest.raises(UserError, match="no corpus is given"):
        mme2e.merge([], out=tmp_path / "out")


def test_a_label_that_corpus_json_does_not_know(corpora, tmp_path):
    change(corpora[1], label_names=["angry", "happy"])
    with pytest.raises(UserError, match=r"second has a row with the label 'sad', but its labels are angry, happy"):
        mme2e.merge(corpora, out=tmp_path / "out")


def test_from_the_command_line_to_a_trained_run(corpora, tmp_path, capsys):
    words = ["merge", *map(str, corpora), "--out", str(tmp_path / "out"), "--rename", "sad=low", "angry=low"]
    assert main([*words, "--labels", "happy,low"]) == 0
    assert "merged corpus" in capsys.readouterr().out
    assert main(["merge", *map(str, corpora), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    settings = TrainSettings(model=TINY_MODEL, epochs=1, batch_size=4, num_workers=0, accelerator="cpu")
    trained = mme2e.train(settings, data=tmp_path / "out", out=tmp_path / "run")
    assert trained.best is not None
    assert np.isfinite(trained.best.valid_macro_f1)

import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shown import shown
from tiny_corpus import write_tiny_corpus

import mme2e
from mme2e.__main__ import main
from mme2e.config import FeatureExtractionSettings
from mme2e.data.features import load_features
from mme2e.errors import UserError
from mme2e.hand_crafted import extraction as extraction_module
from mme2e.hand_crafted import parts as parts_module

WORDS_AND_FACES = FeatureExtractionSettings(modalities="tv", text_size=20)


@pytest.fixture
def folder(tmp_path):
    return write_tiny_corpus(tmp_path / "corpus", 5)


def change_rows(folder, change):
    path = folder / "train" / "00000.parquet"
    rows = pq.read_table(path)
    schema, rows = rows.schema, rows.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def lose_everything(rows):
    rows[0].update(text=None)
    rows[1].update(audio=None, num_samples=0)
    rows[2].update(face_crops=[], face_times_s=[], face_flags=[], face_boxes=[])
    rows[3].update(audio=b"no sound", face_crops=[b"no picture"] * len(rows[3]["face_crops"]))


def test_a_corpus_with_gaps_and_damage(folder, capsys):
    pytest.importorskip("librosa")
    change_rows(folder, lose_everything)
    assert main(["features", str(folder)]) == 1
    assert "unreadable" in capsys.readouterr().out
    features = load_features(folder)
    assert (features.info.text.size, features.info.acoustic.size, features.info.visual.size) == (300, 40, 145)
    split = features.split("train")
    there = [[matrix is not None for matrix in split[identity]] for identity in split]
    assert there == [
        [False, True, True],
        [True, False, True],
        [True, True, False],
        [True, False, False],
        [True, True, True],
    ]
    assert [note["item"] for note in features.info.skipped] == ["train_003", "train_003"]
    assert "not FLAC audio" in features.info.skipped[0]["reason"]
    assert features.info.counts["test"] == {"text": 5, "acoustic": 5, "visual": 5}
    assert split["train_004"].acoustic.shape == (11, 40)  # 1 s
    assert not (folder / "features" / ".parts").exists()


def test_what_is_there_is_not_made_again(folder, monkeypatch):
    first = mme2e.features(folder, WORDS_AND_FACES)
    assert first.done == 15
    monkeypatch.setattr(extraction_module.LocalEngine, "run", None)
    again = mme2e.features(folder, WORDS_AND_FACES)
    assert again.done == 0
    assert again.info == first.info
    assert "nothing: all was done already" in shown(again)


def test_other_settings_are_other_features(folder):
    mme2e.features(folder, WORDS_AND_FACES)
    summary = mme2e.features(folder, FeatureExtractionSettings(modalities="t", text_size=7))
    assert summary.done == 15
    assert load_features(folder).info.visual is None
    assert load_features(folder).info.text.size == 7


def test_a_second_call_at_the_same_time_is_refused(folder, monkeypatch, capsys):
    real, met = extraction_module.LocalEngine.run, []

    def meanwhile(engine, *rest):
        if not met:  # in the first call
            met.append(main(["features", str(folder), "--modalities", "t"]))
        return real(engine, *rest)

    monkeypatch.setattr(extraction_module.LocalEngine, "run", meanwhile)
    assert mme2e.features(folder, WORDS_AND_FACES).done == 15
    assert met == [2]
    message = f"the features of {folder} are being made already: wait for the end of the other 'mme2e features'"
    assert f"mme2e: error: {message}\n" in capsys.readouterr().err
    assert load_features(folder).info.visual is not None  # those of the first call
    assert mme2e.features(folder, WORDS_AND_FACES).done == 0  # the lock is free again


def test_one_that_waited_takes_what_the_other_has_made(folder, monkeypatch):
    real, calls = extraction_module._made_before, []

    def meanwhile(corpus, key):
        calls.append(real(corpus, key))
        if len(calls) == 1:  # somebody else makes them before this call has the lock
            mme2e.features(folder, WORDS_AND_FACES)
        return calls[0] if len(calls) == 1 else real(corpus, key)

    monkeypatch.setattr(extraction_module, "_made_before", meanwhile)
    assert mme2e.features(folder, WORDS_AND_FACES).done == 0


def test_an_interrupted_call_goes_on_where_it_was(folder, monkeypatch):
    monkeypatch.setattr(parts_module, "PART_UTTERANCES", 2)
    whole, calls = parts_module.do_part, []

    def interrupted(part, *rest):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(part)
        return whole(part, *rest)

    monkeypatch.setattr(parts_module, "do_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mme2e.features(folder, WORDS_AND_FACES)
    with pytest.raises(UserError, match="no hand-crafted features"):
        load_features(folder)
    monkeypatch.setattr(parts_module, "do_part", whole)
    summary = mme2e.features(folder, WORDS_AND_FACES)
    assert summary.done == 15 - sum(part.stop - part.start for part in calls)
    assert [sum(split["visual"] for split in summary.info.counts.values()), summary.info.skipped] == [15, ()]


def test_workers_make_what_one_process_makes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "PART_UTTERANCES", 2)
    words = FeatureExtractionSettings(modalities="t", text_size=20)
    alone = mme2e.features(folder, words)
    other = write_tiny_corpus(tmp_path / "other", 5)
    together = mme2e.features(other, replace(words, jobs=2))
    assert together.info == alone.info
    matrices = load_features(folder).split("test")
    for identity, found in load_features(other).split("test").items():
        np.testing.assert_array_equal(found.text, matrices[identity].text)


def test_new_utterances_make_the_features_stale(folder):
    mme2e.features(folder, WORDS_AND_FACES)
    change_rows(folder, lambda rows: rows.append({**rows[0], "id": "another"}))
    with pytest.raises(UserError, match="were made of other utterances"):
        load_features(folder)
    assert mme2e.features(folder, WORDS_AND_FACES).done == 16


def test_glove_and_openface_of_the_user(folder, tmp_path):
    glove, openface = tmp_path / "glove.txt", tmp_path / "openface"
    glove.write_text("it 1 2\nwas 3 4\nlovely 5 6\n")
    openface.mkdir()
    (openface / "train_001.csv").write_text("frame, timestamp, success, AU01_r\n1, 0.0, 1, 2.5\n")
    settings = FeatureExtractionSettings(modalities="tv", glove=str(glove), openface=str(openface))
    info = mme2e.features(folder, settings).info
    assert (info.text.kind, info.text.size, info.visual.kind) == ("glove", 2, "openface")
    assert info.counts["train"] == {"text": 5, "acoustic": 0, "visual": 1}
    assert load_features(folder).split("train")["train_001"].visual.tolist() == [[2.5]]
    glove.write_text("it 1 2\nwas 3 4\nlovely 5 7\n")  # another file under the same name
    assert mme2e.features(folder, settings).done == 15


def test_a_corpus_that_has_nothing_of_the_modality(folder):
    for split in ("train", "valid", "test"):
        path = folder / split / "00000.parquet"
        rows = pq.read_table(path)
        texts = pa.nulls(len(rows), pa.string())
        pq.write_table(rows.set_column(rows.schema.names.index("text"), rows.schema.field("text"), texts), path)
    with pytest.raises(UserError, match=r"no utterance of .* has features of text"):
        mme2e.features(folder, FeatureExtractionSettings(modalities="t"))


def test_errors_of_the_command_line(folder, tmp_path, capsys, monkeypatch):
    assert main(["features", str(tmp_path / "nothing")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main(["features", str(folder), "--glove", str(tmp_path / "nothing.txt")]) == 2
    assert "cannot read word vectors" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "librosa", None)
    assert main(["features", str(folder)]) == 2
    assert "pip install 'mme2e[features]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"modalities": "tx"}, "modalities must be some of the letters"),
        ({"acoustic_window_ms": 25}, "multiple of 10"),
        ({"text_size": 0}, "text_size must be at least 1"),
        ({"modalities": "a", "glove": "g.txt"}, "glove 'g.txt' requires modality t"),
    ],
)
def test_settings_that_contradict_themselves(wrong, message):
    with pytest.raises(UserError, match=message):
        FeatureExtractionSettings(**wrong)

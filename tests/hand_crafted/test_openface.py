import numpy as np
import pytest
from tiny_corpus import write_tiny_corpus

from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.hand_crafted.openface import OpenFaceUnits, read_units

HEADER = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU12_c"


@pytest.fixture
def corpus(tmp_path):
    return load_corpus(write_tiny_corpus(tmp_path / "corpus", 4))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "openface").mkdir()
    return tmp_path / "openface"


def write(path, rows, header=HEADER):
    """Rows of (time in s, success, first unit)."""
    lines = [f"{i + 1}, 0, {time}, 0.98, {success}, {unit}, 2.0, 1.0" for i, (time, success, unit) in enumerate(rows)]
    path.write_text("\n".join([header, *lines]) + "\n")


def test_the_files_of_utterances_count_from_their_start(corpus, folder):
    write(folder / "train_001.csv", [(0.0, 1, 1), (0.4, 1, 3), (0.5, 1, 5), (0.6, 0, 99), (1.2, 1, 7)])
    units = OpenFaceUnits(folder, 500, corpus)
    assert units.info.columns == ("AU01_r", "AU12_r", "AU12_c")
    row = corpus.split("train")[1]
    assert row["start_s"] == 1.0
    assert units.extract(row).tolist() == [[2, 2, 1], [5, 2, 1], [7, 2, 1]]
    assert units.extract(corpus.split("train")[0]) is None


def test_the_files_of_recordings_are_cut(corpus, folder):
    write(folder / "train_recording0.csv", [(i / 10, 1, i) for i in range(30)])
    units = OpenFaceUnits(folder, 500, corpus)
    rows = corpus.split("train")
    assert (rows[1]["start_s"], rows[1]["end_s"]) == (1.0, 2.0)
    assert units.extract(rows[0])[:, 0].tolist() == [2]  # 0.0 to 0.5 s
    assert units.extract(rows[1])[:, 0].tolist() == [12, 17]


def test_no_face_in_the_file_is_no_picture(corpus, folder):
    write(folder / "train_000.csv", [(0.0, 0, 1)])
    assert OpenFaceUnits(folder, 500, corpus).extract(corpus.split("train")[0]) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column 'timestamp'"),
        ("frame, timestamp, AU01_r\n1, 0.0, 1\n", "no column 'success'"),
        ("frame, timestamp, success\n1, 0.0, 1\n", "no action units"),
        (f"{HEADER}\n1, 0, 0.0, 0.9, 1, much, 2, 1\n", "line 2: a number is expected"),
        (f"{HEADER}\n1, 0, 0.0\n", "line 2: a number is expected"),
        (f"{HEADER}\n1, 0, \x00\xff", "is not a CSV file|a number is expected"),
    ],
)
def test_broken_files(folder, content, message):
    path = folder / "broken.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_units(path)


def test_a_file_with_other_units(corpus, folder):
    write(folder / "train_000.csv", [(0.0, 1, 1)])
    write(folder / "train_001.csv", [(0.0, 1, 1)], header=HEADER.replace("AU01_r", "AU02_r"))
    units = OpenFaceUnits(folder, 500, corpus)
    with pytest.raises(UserError, match="action units"):
        units.extract(corpus.split("train")[1])


def test_folders_without_what_is_wanted(corpus, folder, tmp_path):
    with pytest.raises(UserError, match="no folder"):
        OpenFaceUnits(tmp_path / "nothing", 500, corpus)
    write(folder / "stranger.csv", [(0.0, 1, 1)])
    with pytest.raises(UserError, match=r"no file for any of the 12 utterances, like 'train_000.csv'"):
        OpenFaceUnits(folder, 500, corpus)
    (folder / "train_000.csv").write_text("nothing\n")
    with pytest.raises(UserError, match=r"train_000\.csv has no column 'timestamp'"):
        OpenFaceUnits(folder, 500, corpus)


def test_times_on_the_border_belong_to_the_window_that_begins(corpus, folder):
    write(folder / "train_002.csv", [(i / 30, 1, i) for i in range(45)])
    means = OpenFaceUnits(folder, 100, corpus).extract(corpus.split("train")[2])[:, 0]
    np.testing.assert_allclose(means, np.arange(15) * 3 + 1)

from pathlib import Path

import pytest

from mme2e.corpora.mosei import LABEL_NAMES, read_mosei
from mme2e.errors import UserError

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "sentiment", "surprise")
COLUMNS = "HITId,Input.VIDEO_ID,Input.CLIP," + ",".join(f"Answer.{name}" for name in EMOTIONS)
LABELS = f"""{COLUMNS}
h1,-abc_d,0,0,0,0,2,0,1,0
h2,-abc_d,0,1,0,0,1,0,1,0
h3,-abc_d,1,0,0,0,0,0,0,0
h4,xyz,3,0,0,0,0,0,-2,1
"""


def write(root: Path, name: str, content: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for video in ("-abc_d", "xyz"):
        write(tmp_path, f"Videos/Full/Combined/{video}.mp4")
        write(tmp_path, f"Audio/WAV_16000/{video}.wav")
    write(tmp_path, "Transcript/Combined/-abc_d.txt", "-abc_d___0___-0.2___2.5___so: good\n-abc_d___1___2.5___4___\n")
    write(tmp_path, "Transcript/Combined/xyz.txt", "xyz___3___10.5___12.25___oh, a ___ line\n")
    write(tmp_path, "Labels/batch.csv", LABELS)
    return tmp_path


def test_clips_are_read_and_annotators_summed(root: Path):
    corpus = read_mosei(root)
    assert corpus.multi_label
    assert corpus.label_names == LABEL_NAMES == ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert [(u.id, u.labels) for u in corpus.utterances] == [
        ("-abc_d_0", ("anger", "happiness")),
        ("-abc_d_1", ()),
        ("xyz_3", ("surprise",)),
    ]
    assert corpus.skipped == ()


def test_times_text_and_files(root: Path):
    first, second, third = read_mosei(root).utterances
    assert (first.start_s, first.end_s, first.text) == (0.0, 2.5, "so: good")
    assert second.text is None
    assert (third.start_s, third.end_s, third.text) == (10.5, 12.25, "oh, a ___ line")
    assert first.recording == first.speaker == "-abc_d"
    assert first.video == root / "Videos/Full/Combined/-abc_d.mp4"
    assert first.audio == root / "Audio/WAV_16000/-abc_d.wav"
    assert first.region is None
    assert first.audio_channel is None


def test_rows_of_several_files_are_summed(root: Path):
    write(root, "Labels/more.csv", f"{COLUMNS}\nh9,xyz,3,0,3,0,0,0,0,0\n")
    assert read_mosei(root).utterances[-1].labels == ("disgust", "surprise")


def test_votes_are_mean_intensities(root: Path):
    write(root, "Labels/more.csv", f"{COLUMNS}\nh9,xyz,3,0,3,0,0,0,0,0\n")
    assert [u.votes for u in read_mosei(root).utterances] == [
        (("anger", 0.5), ("happiness", 1.5)),
        (),
        (("disgust", 1.5), ("surprise", 0.5)),
    ]


def test_an_annotator_who_comes_twice_changes_no_label(root: Path):
    before = [u.labels for u in read_mosei(root).utterances]
    rows = LABELS.splitlines()
    write(root, "Labels/batch.csv", "\n".join([*rows, rows[1], rows[1]]))
    assert [u.labels for u in read_mosei(root).utterances] == before


def test_scores_above_3_count_and_are_told_once_a_file(root: Path):
    write(root, "Labels/batch.csv", f"{COLUMNS}\nh,xyz,3,0,0,9,0,0,0,0\nh,xyz,3,4,0,0,0,0,0,-1\n")
    corpus = read_mosei(root)
    assert corpus.utterances[0].labels == ("anger", "fear")
    told = [(s.item, s.reason) for s in corpus.skipped if s.item.startswith("batch")]
    assert told == [("batch.csv:row 1", "2 rows have scores outside 0 to 3 and count as they are")]


def test_an_empty_score_counts_as_0_and_an_empty_row_is_broken(root: Path):
    write(root, "Labels/batch.csv", f"{COLUMNS}\nh,xyz,3,,,2,,,,\nh,-abc_d,0,,,,,,1,\n")
    corpus = read_mosei(root)
    assert [(u.id, u.labels) for u in corpus.utterances] == [("xyz_3", ("fear",))]
    assert ("batch.csv:row 2", "broken label row: no scores") in [(s.item, s.reason) for s in corpus.skipped]


def test_an_id_with_its_folder_is_the_video(root: Path):
    write(root, "Labels/batch.csv", f"{COLUMNS}\nh,full/part/xyz,3,1,0,0,0,0,0,0\n")
    write(root, "Transcript/Combined/xyz.txt", "full/xyz___3___1___2___words\n")
    assert [(u.id, u.labels) for u in read_mosei(root).utterances] == [("xyz_3", ("anger",))]


def test_an_end_past_the_video_is_kept_and_a_second_line_of_a_clip_told(root: Path):
    write(root, "Transcript/Combined/xyz.txt", "xyz___3___1___9999___long\nxyz___3___2___3___again\n")
    corpus = read_mosei(root)
    assert (corpus.utterances[-1].start_s, corpus.utterances[-1].end_s) == (1, 9999)
    assert ("xyz.txt:2", "second transcript line of xyz_3") in [(s.item, s.reason) for s in corpus.skipped]


def test_files_of_macos_are_ignored(root: Path):
    for name in ("Videos/Full/Combined/._xyz.mp4", "Audio/WAV_16000/._xyz.wav", "Transcript/Combined/._xyz.txt"):
        write(root, name, "\0\5")
    write(root, "Labels/._batch.csv", "\0\5")
    assert len(read_mosei(root).utterances) == 3


def test_the_parent_of_raw_is_accepted(root: Path, tmp_path_factory: pytest.TempPathFactory):
    parent = tmp_path_factory.mktemp("mosei")
    (parent / "Raw").symlink_to(root, target_is_directory=True)
    assert [u.id for u in read_mosei(parent).utterances] == [u.id for u in read_mosei(root).utterances]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("h5,xyz", "broken label row"),
        ("h5,xyz,3,1", "too few columns"),
        ("h5,xyz,3,a,0,0,0,0,0,0", "'a'"),
        ("h5,xyz,3,nan,0,0,0,0,0,0", "nan"),
    ],
)
def test_a_broken_label_row_is_named_and_the_rest_goes_on(root: Path, row: str, reason: str):
    write(root, "Labels/batch.csv", LABELS + row + "\n")
    corpus = read_mosei(root)
    assert len(corpus.utterances) == 3
    assert corpus.skipped[0].item == "batch.csv:row 5"
    assert reason in corpus.skipped[0].reason


@pytest.mark.parametrize(
    "line", ["xyz___4___1.0", "xyz___4___2.0___1.0___back", "abc___4___1___2___other", "words only"]
)
def test_a_broken_transcript_line_is_named_and_the_rest_goes_on(root: Path, line: str):
    write(root, "Transcript/Combined/xyz.txt", f"{line}\nxyz___3___1___2___fine\n")
    corpus = read_mosei(root)
    assert corpus.utterances[-1].text == "fine"
    assert [s.item for s in corpus.skipped] == ["xyz.txt:1"]


def test_labels_without_video_and_video_without_labels_are_skipped(root: Path):
    (root / "Videos/Full/Combined/xyz.mp4").unlink()
    write(root, "Videos/Full/Combined/new.mp4")
    skipped = {s.item: s.reason for s in read_mosei(root).skipped}
    assert skipped == {"xyz_3": "no video Videos/Full/Combined/xyz.mp4", "new": "video without labels"}


def test_clips_known_to_one_side_only_are_skipped(root: Path):
    write(root, "Labels/batch.csv", LABELS + "h,xyz,4,0,0,0,0,0,0,0\n")
    write(
        root,
        "Transcript/Combined/-abc_d.txt",
        "-abc_d___0___0___1___a\n-abc_d___1___1___2___b\n-abc_d___2___2___3___c\n",
    )
    assert {s.item: s.reason for s in read_mosei(root).skipped} == {
        "-abc_d_2": "no label row",
        "xyz_4": "no transcript line, hence no times",
    }


def test_a_missing_wav_is_none(root: Path):
    (root / "Audio/WAV_16000/xyz.wav").unlink()
    assert read_mosei(root).utterances[-1].audio is None


@pytest.mark.parametrize("name", ["Videos/Full/Combined", "Audio/WAV_16000", "Transcript/Combined", "Labels"])
def test_a_missing_folder_is_a_user_error(root: Path, name: str):
    (root / name).rename(root / "away")
    with pytest.raises(UserError, match=f"has no folder {name}"):
        read_mosei(root)


def test_labels_without_the_columns_are_a_user_error(root: Path):
    write(root, "Labels/batch.csv", "a,b\n1,2\n")
    with pytest.raises(UserError, match=r"no \*.csv with the columns Input.VIDEO_ID"):
        read_mosei(root)


def test_a_corpus_without_usable_clips_is_a_user_error(root: Path):
    write(root, "Labels/batch.csv", COLUMNS + "\n")
    with pytest.raises(UserError, match="no clip has labels"):
        read_mosei(root)

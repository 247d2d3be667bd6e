from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_writing import grey_image

from mme2e.corpora.iemocap import LABEL_NAMES, read_iemocap
from mme2e.errors import UserError
from mme2e.media.region import Region
from mme2e.media.video import frame_times, read_frames

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def write_dialogue(
    root: Path, dialogue: str, labels: str, transcript: str | None = None, *, video: bool = True, audio: bool = True
) -> None:
    dialog = root / f"Session{int(dialogue[3:5])}" / "dialog"
    for name, content in {
        f"EmoEvaluation/{dialogue}.txt": labels,
        f"transcriptions/{dialogue}.txt": transcript,
        f"wav/{dialogue}.wav": "" if audio else None,
        f"avi/DivX/{dialogue}.avi": "" if video else None,
    }.items():
        if content is not None:
            (dialog / name).parent.mkdir(parents=True, exist_ok=True)
            (dialog / name).write_text(content, encoding="utf-8")


LABELS = (
    HEADER
    + "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\n"
    + "A-E3:\tval 3; act 2; dom  2;\t()\nA-F1:\tval 3; act 2; dom  1;\t()\n\n"
    + "[10.0100 - 11.3925]\tSes01F_impro01_M000\tang\t[1.5000, 4.0000, 4.0000]\nC-M1:\tAnger;\t(loud)\n\n"
    + "[12.0000 - 13.0000]\tSes01F_impro01_F001\txxx\t[2.5000, 2.5000, 2.5000]\n"
)
TRANSCRIPT = (
    "Ses01F_impro01_F000 [006.2901-008.2357]: He said: at 10:30, not later.\n"
    "M: [LAUGHTER]\n"
    "Ses01F_impro01_M000 [010.0100-011.3925]: What?\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "IEMOCAP_full_release"
    write_dialogue(root, "Ses01F_impro01", LABELS, TRANSCRIPT)
    return root


def test_turns_are_read_with_side_and_channel(root: Path):
    corpus = read_iemocap(root)
    woman, man = corpus.utterances
    assert corpus.label_names == LABEL_NAMES == ("ang", "exc", "fru", "hap", "neu", "sad")
    assert not corpus.multi_label
    assert (woman.id, woman.labels, woman.start_s, woman.end_s) == ("Ses01F_impro01_F000", ("neu",), 6.2901, 8.2357)
    assert (woman.speaker, woman.recording, woman.split) == ("Ses01F", "Ses01F_impro01", None)
    assert (woman.region, woman.audio_channel) == (Region(x_px=68, y_px=128, width_px=224, height_px=224), 0)
    assert (man.speaker, man.labels) == ("Ses01M", ("ang",))
    assert (man.region, man.audio_channel) == (Region(x_px=428, y_px=128, width_px=224, height_px=224), 1)
    assert woman.video == root / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    assert man.audio == root / "Session1/dialog/wav/Ses01F_impro01.wav"


def test_votes_are_those_of_the_evaluators_for_the_six_emotions(tmp_path: Path):
    lines = (
        HEADER
        + "[1.0 - 2.0]\tSes01F_impro01_F000\tfru\t[2.5000, 2.5000, 2.5000]\n"
        + "C-E2:\tFrustration; Anger;\t(anger; (mild))\nC-E3:\tFrustration;\t()\nC-E4:\tNeutral state;\t()\n"
        + "C-E5:\tDisgust; Other;\t()\nC-F1:\tSadness;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
        + "[2.0 - 3.0]\tSes01F_impro01_M000\txxx\t[]\nC-E2:\tHappiness;\t()\n\n"
        + "[4.0 - 5.0]\tSes01F_impro01_M001\tneu\t[]\nC-E2:\tNeutral;\t()\n\n"
        + "[6.0 - 7.0]\tSes01F_impro01_M002\tneu\t[]\nC-E2:\tSurprise;\t()\n"
    )
    write_dialogue(tmp_path, "Ses01F_impro01", lines)
    assert [(u.id[-4:], u.votes) for u in read_iemocap(tmp_path).utterances] == [
        ("F000", (("ang", 1), ("fru", 2), ("neu", 1))),
        ("M001", (("neu", 1),)),
        ("M002", ()),
    ]


def test_in_a_dialogue_of_the_man_he_is_on_the_left(tmp_path: Path):
    lines = "[1.0 - 2.0]\tSes03M_script01_1b_M000\thap\t[]\n[3.0 - 4.0]\tSes03M_script01_1b_F000\thap\t[]\n"
    write_dialogue(tmp_path, "Ses03M_script01_1b", lines)
    man, woman = read_iemocap(tmp_path).utterances
    assert (man.audio_channel, woman.audio_channel) == (0, 1)
    assert (man.speaker, woman.speaker) == ("Ses03M", "Ses03F")


def test_a_colon_does_not_cut_the_text(root: Path):
    assert [u.text for u in read_iemocap(root).utterances] == ["He said: at 10:30, not later.", "What?"]


def test_remarks_stay_in_the_words(root: Path):
    transcript = (
        "Ses01F_impro01_F000 [006.2901-008.2357]: (…) Yes. [LAUGHTER] (sighs)\n"
        "Ses01F_impro01_M000 [010.0100-011.3925]: [BREATHING]\nSes01F_impro01_MXX0 [011.4-011.5]: Mm.\n"
    )
    write_dialogue(root, "Ses01F_impro01", LABELS, transcript)
    corpus = read_iemocap(root)
    assert [u.text for u in corpus.utterances] == ["(…) Yes. [LAUGHTER] (sighs)", "[BREATHING]"]
    assert [s.reason for s in corpus.skipped] == ["label xxx"]


def test_overlapping_turns_keep_their_own_times(root: Path):
    lines = (
        "[1.0 - 5.0]\tSes01F_impro01_F000\tneu\t[]\n[2.0 - 4.0]\tSes01F_impro01_M000\tang\t[]\n"
        "[4.5 - 6.0]\tSes01F_impro01_F001\tsad\t[]\n"
    )
    write_dialogue(root, "Ses01F_impro01", lines)
    found = [(u.start_s, u.end_s, u.audio_channel) for u in read_iemocap(root).utterances]
    assert found == [(1, 5, 0), (2, 4, 1), (4.5, 6, 0)]


def test_a_turn_without_words_is_kept(root: Path):
    write_dialogue(root, "Ses01F_impro01", LABELS, "Ses01F_impro01_F000 [006.2901-008.2357]:   \n")
    assert [u.text for u in read_iemocap(root).utterances] == [None, None]


def test_of_two_transcript_lines_the_first_counts_and_the_second_is_told(root: Path):
    write_dialogue(root, "Ses01F_impro01", LABELS, TRANSCRIPT + "Ses01F_impro01_F000 [006.2901-008.2357]: No.\n")
    corpus = read_iemocap(root)
    assert corpus.utterances[0].text == "He said: at 10:30, not later."
    assert (corpus.skipped[0].item, corpus.skipped[0].reason) == (
        "Ses01F_impro01.txt:4",
        "second transcript line of Ses01F_impro01_F000",
    )


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(14985, 1000), Fraction(50)])
def test_frames_of_a_turn_are_found_at_any_frame_rate(root: Path, rate: Fraction):
    video = root / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    seconds = [index / rate for index in range(int(9 * rate))]
    write_avi(video, [grey_image(16 * int(second) + 8, 480, 720) for second in seconds], rate)
    turn = read_iemocap(root).utterances[0]
    frames = list(read_frames(turn.video, frame_times(turn.start_s, turn.end_s, 500), turn.region))
    assert len(frames) == 4
    for frame in frames:
        assert frame.image.shape == (224, 224, 3)
        assert frame.image.mean() == pytest.approx(16 * int(frame.requested_s + 1e-3) + 8, abs=3)


def write_avi(path: Path, images: list[np.ndarray], rate: Fraction) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qmin": "1", "qmax": "4"})
        stream.width, stream.height, stream.pix_fmt = 720, 480, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def test_other_labels_are_skipped_with_the_reason(root: Path):
    assert [(s.item, s.reason) for s in read_iemocap(root).skipped] == [("Ses01F_impro01_F001", "label xxx")]


def test_the_parent_of_the_release_folder_is_accepted(root: Path):
    assert read_iemocap(root.parent) == read_iemocap(root)


def test_files_of_macos_are_ignored(root: Path):
    corpus = read_iemocap(root)
    for name in ("EmoEvaluation/._{}.txt", "transcriptions/._{}.txt", "wav/._{}.wav", "avi/DivX/._{}.avi"):
        (root / "Session1/dialog" / name.format("Ses01F_impro01")).write_bytes(b"\0\x05\x16\x07")
        (root / "Session1/dialog" / name.format("Ses01F_impro09")).write_bytes(b"\0\x05\x16\x07")
    assert read_iemocap(root) == corpus


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[9.0 - ]\tSes01F_impro01_F009\tneu\t[]", "not '[start - end]"),
        ("garbage", "not '[start - end]"),
        ("[1.0 - 2.0]\tSes01F_impro02_F000\tneu\t[]", "is no turn of Ses01F_impro01"),
        ("[1.0 - 2.0]\tSes01F_impro01_F000\tneu\t[]", "second label line"),
    ],
)
def test_a_broken_label_line_is_named_and_the_rest_goes_on(root: Path, line: str, reason: str):
    write_dialogue(root, "Ses01F_impro01", LABELS + line + "\n", TRANSCRIPT)
    corpus = read_iemocap(root)
    assert len(corpus.utterances) == 2
    assert corpus.skipped[-1].item == f"Ses01F_impro01.txt:{len(LABELS.splitlines()) + 1}"
    assert reason in corpus.skipped[-1].reason


def test_a_turn_that_ends_before_it_starts_is_skipped(root: Path):
    write_dialogue(root, "Ses01F_impro01", LABELS + "[5.0 - 5.0]\tSes01F_impro01_F009\tneu\t[]\n")
    assert read_iemocap(root).skipped[-1].item == "Ses01F_impro01_F009"


def test_a_broken_transcript_line_leaves_the_turn_without_text(root: Path):
    write_dialogue(root, "Ses01F_impro01", LABELS, "Ses01F_impro01_F000 006.29 no brackets\n")
    corpus = read_iemocap(root)
    assert [u.text for u in corpus.utterances] == [None, None]
    assert corpus.skipped[0].item == "Ses01F_impro01.txt:1"


def test_missing_media_and_transcript_are_none(tmp_path: Path):
    write_dialogue(tmp_path, "Ses01F_impro01", LABELS, TRANSCRIPT, video=False)
    write_dialogue(tmp_path, "Ses02F_impro01", LABELS.replace("Ses01", "Ses02"), audio=False)
    first, _, second, _ = read_iemocap(tmp_path).utterances
    assert first.video is None
    assert first.audio is not None
    assert second.audio is None
    assert second.text is None


def test_a_turn_without_any_modality_is_skipped(root: Path):
    write_dialogue(root, "Ses02F_impro01", LABELS.replace("Ses01", "Ses02"), video=False, audio=False)
    corpus = read_iemocap(root)
    assert {u.recording for u in corpus.utterances} == {"Ses01F_impro01"}
    assert sum("no video, no audio and no transcript" in s.reason for s in corpus.skipped) == 2


def test_latin_1_files_are_read(root: Path):
    (root / "Session1/dialog/transcriptions/Ses01F_impro01.txt").write_bytes(
        "Ses01F_impro01_F000 [006.2901-008.2357]: café\r\n".encode("latin-1")
    )
    assert read_iemocap(root).utterances[0].text == "café"


def test_a_missing_folder_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        read_iemocap(tmp_path / "nowhere")


def test_an_empty_folder_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match="no folder Session1"):
        read_iemocap(tmp_path)


def test_a_release_without_labels_is_a_user_error(tmp_path: Path):
    (tmp_path / "Session1/dialog/wav").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no label file Session\*/dialog/EmoEvaluation"):
        read_iemocap(tmp_path)


def test_a_release_without_a_usable_turn_is_a_user_error(tmp_path: Path):
    write_dialogue(tmp_path, "Ses01F_impro01", HEADER)
    with pytest.raises(UserError, match="none of 1 label files"):
        read_iemocap(tmp_path)

"""RAVDESS, CREMA-D and MELD, on their published file names and columns."""

from pathlib import Path

import pytest

from mme2e.corpora import crema_d, meld
from mme2e.corpora.crema_d import read_crema_d
from mme2e.corpora.meld import read_meld
from mme2e.corpora.ravdess import read_ravdess
from mme2e.corpora.readers import read_corpus
from mme2e.errors import UserError

MELD_COLUMNS = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def reasons(corpus) -> dict[str, str]:
    return {skipped.item: skipped.reason for skipped in corpus.skipped}


class TestRavdess:
    def test_a_take_is_one_utterance_however_many_files_it_has(self, tmp_path):
        touch(
            tmp_path,
            "Video_Speech_Actor_12/Actor_12/01-01-06-02-02-01-12.mp4",
            "Video_Speech_Actor_12/Actor_12/02-01-06-02-02-01-12.mp4",
            "Audio_Speech_Actors_01-24/Actor_12/03-01-06-02-02-01-12.wav",
            "Audio_Speech_Actors_01-24/Actor_01/03-01-02-01-01-02-01.wav",
            "02-01-02-01-01-02-01.mp4",
            "02-01-08-01-01-01-24.mp4",
        )
        corpus = read_corpus("ravdess", tmp_path)
        calm, fearful, surprised = corpus.utterances
        assert (calm.id, calm.recording, calm.speaker) == ("01-02-01-01-02-01", "01-02-01-01-02-01", "actor01")
        assert (calm.labels, calm.text) == (("calm",), "Kids are talking by the door")
        assert (calm.video.name, calm.audio.name) == ("02-01-02-01-01-02-01.mp4", "03-01-02-01-01-02-01.wav")
        assert fearful.labels == ("fearful",)
        assert fearful.text == "Dogs are sitting by the door"
        assert fearful.video == fearful.audio
        assert fearful.video.name == "01-01-06-02-02-01-12.mp4"
        assert (surprised.labels, surprised.audio, surprised.speaker) == (("surprised",), None, "actor24")
        assert all((u.split, u.start_s, u.end_s) == (None, 0.0, None) for u in corpus.utterances)
        assert not corpus.multi_label
        assert len(corpus.label_names) == 8

    def test_what_is_no_speech_of_an_actor_is_told(self, tmp_path):
        touch(
            tmp_path,
            "a/03-01-05-01-01-01-01.wav",
            "b/03-01-05-01-01-01-01.wav",
            "b/._03-01-05-01-01-01-01.wav",
            "03-02-05-01-01-01-01.wav",
            "03-01-09-01-01-01-01.wav",
            "03-01-05-01-01-01-25.wav",
            "notes.wav",
        )
        corpus = read_ravdess(tmp_path)
        assert [u.id for u in corpus.utterances] == ["01-05-01-01-01-01"]
        told = reasons(corpus)
        assert told["03-01-05-01-01-01-01.wav"] == "second file of this name, in b"
        assert told[tmp_path.name] == "1 files of singing; only speech is read"
        assert {"03-01-09-01-01-01-01.wav", "03-01-05-01-01-01-25.wav", "notes.wav"} < set(told)
        assert [u.id for u in read_ravdess(tmp_path, song=True).utterances][-1] == "02-05-01-01-01-01"

    def test_a_folder_without_any_is_one_line(self, tmp_path):
        touch(tmp_path, "notes.wav")
        with pytest.raises(UserError, match=r"no file of RAVDESS.*notes\.wav"):
            read_ravdess(tmp_path)
        with pytest.raises(UserError, match="does not exist"):
            read_ravdess(tmp_path / "nowhere")

    def test_published_files(self, shared):
        corpus = read_ravdess(shared("open/speech"))
        assert (len(corpus.utterances), corpus.skipped) == (1080, ())
        assert len({u.speaker for u in corpus.utterances}) == 18
        assert sum(u.labels == ("calm",) for u in corpus.utterances) == 18 * 8


class TestCremaD:
    def test_names_tell_everything(self, tmp_path):
        touch(
            tmp_path,
            "VideoFlash/1001_DFA_ANG_XX.flv",
            "AudioWAV/1001_DFA_ANG_XX.wav",
            "AudioWAV/1040_ITH_SAD_X.wav",
            "VideoFlash/1091_WSI_NEU_HI.flv",
        )
        corpus = read_corpus("crema_d", tmp_path)
        first, sound, film = corpus.utterances
        assert (first.id, first.recording, first.speaker) == ("1001_DFA_ANG_XX", "1001_DFA_ANG_XX", "1001")
        assert (first.labels, first.text) == (("anger",), "Don't forget a jacket.")
        assert (first.video.suffix, first.audio.suffix) == (".flv", ".wav")
        assert (sound.video, sound.labels, sound.text) == (None, ("sad",), "I think I have a doctor's appointment.")
        assert film.audio == film.video
        assert corpus.label_names == ("anger", "disgust", "fear", "happy", "neutral", "sad")
        assert len(crema_d.SENTENCES) == 12
        assert corpus.skipped == ()

    def test_what_cannot_be_used_is_told(self, tmp_path):
        touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_XYZ_ANG_XX.wav", "copy/1001_DFA_ANG_XX.wav")
        pointer = tmp_path / "AudioWAV" / "1002_DFA_ANG_XX.wav"
        pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
        corpus = read_crema_d(tmp_path)
        assert [u.id for u in corpus.utterances] == ["1001_DFA_ANG_XX"]
        told = reasons(corpus)
        assert "git lfs pull" in told["1002_DFA_ANG_XX.wav"]
        assert "not like 1001_DFA_ANG_XX" in told["1001_XYZ_ANG_XX.wav"]
        assert told["1001_DFA_ANG_XX.wav"] == "second file of this name, in copy"

    def test_a_folder_without_any_is_one_line(self, tmp_path):
        with pytest.raises(UserError, match="no file of CREMA-D"):
            read_crema_d(tmp_path)


class TestMeld:
    @pytest.fixture
    def root(self, tmp_path):
        rows = {
            "train_sent_emo.csv": "1,Oh my God!,Phoebe,surprise,negative,0,0,8,21,00:16:16,00:16:21\n"
            '2,"You\u0092re late, Ross.",Rachel,anger,negative,0,1,8,21,00:16:22,00:16:24\n',
            "dev_sent_emo.csv": "1,Hi.,Ross,neutral,neutral,0,0,4,7,00:20:57,00:21:00\n",
            "test_sent_emo.csv": "1,Great.,Joey,joy,positive,3,2,3,19,00:14:38,00:14:40\n",
        }
        for name, content in rows.items():
            (tmp_path / name).write_text(f"{MELD_COLUMNS}\n{content}", encoding="utf-8")
        touch(
            tmp_path,
            "train_splits/dia0_utt0.mp4",
            "train_splits/dia0_utt1.mp4",
            "dev_splits_complete/dia0_utt0.mp4",
            "dev_splits_complete/dia66_utt9.mp4",
            "output_repeated_splits_test/final_videos_testdia101_utt0.mp4",
            "output_repeated_splits_test/._dia3_utt2.mp4",
        )
        return tmp_path

    def test_rows_clips_and_published_splits(self, root):
        corpus = read_corpus("meld", root)
        assert [(u.id, u.recording, u.split, u.labels) for u in corpus.utterances] == [
            ("train_dia0_utt0", "train_dia0", "train", ("surprise",)),
            ("train_dia0_utt1", "train_dia0", "train", ("anger",)),
            ("valid_dia0_utt0", "valid_dia0", "valid", ("neutral",)),
            ("test_dia3_utt2", "test_dia3", "test", ("joy",)),
        ]
        assert corpus.utterances[1].text == "You\u2019re late, Ross."
        assert corpus.utterances[1].speaker == "Rachel"
        assert corpus.utterances[0].video == corpus.utterances[0].audio == root / "train_splits/dia0_utt0.mp4"
        assert corpus.utterances[3].video is None
        assert reasons(corpus) == {"dev_splits_complete/dia66_utt9.mp4": "clip without row"}
        assert (corpus.label_names, corpus.multi_label) == (meld.LABEL_NAMES, False)

    def test_rows_that_cannot_be_used_are_told(self, root):
        with (root / "train_sent_emo.csv").open("a", encoding="utf-8") as file:
            file.write("3,What?,Ross,confused,neutral,1,0,8,21,00:16:16,00:16:21\n")
            file.write("4,What?,Ross,joy,neutral,one,0,8,21,00:16:16,00:16:21\n")
            file.write("5,What?,Ross,joy,neutral,0,1,8,21,00:16:16,00:16:21\n")
            file.write("6,What?,Ross\n")
        told = reasons(read_meld(root))
        assert told["train_sent_emo.csv:4"].startswith("emotion 'confused'; there are anger, disgust")
        assert told["train_sent_emo.csv:5"].startswith("dialogue 'one'")
        assert told["train_sent_emo.csv:6"] == "second row of train_dia0_utt1"
        assert told["train_sent_emo.csv:7"] == "too few cells"

    def test_splits_and_columns_may_be_missing(self, root):
        (root / "dev_sent_emo.csv").unlink()
        (root / "test_sent_emo.csv").write_text("Utterance,Speaker,Dialogue_ID\nHi,Ross,0\n", encoding="utf-8")
        corpus = read_meld(root)
        assert {u.split for u in corpus.utterances} == {"train"}
        told = reasons(corpus)
        assert told["dev_sent_emo.csv"].startswith("no such file")
        assert told["test_sent_emo.csv"] == "no column Emotion, Utterance_ID"

    def test_the_folder_in_the_archive_is_found(self, root, tmp_path_factory):
        parent = tmp_path_factory.mktemp("archive")
        root.rename(parent / "MELD.Raw")
        assert len(read_meld(parent).utterances) == 4

    def test_a_folder_without_any_is_one_line(self, tmp_path):
        with pytest.raises(UserError, match=r"no usable row of train_sent_emo\.csv.*no such file"):
            read_meld(tmp_path)

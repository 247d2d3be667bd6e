"""EMO-DB, FER+, GoEmotions and ISEAR, on their published file names and columns."""

from pathlib import Path

import pytest
from PIL import Image

from mme2e.corpora import goemotions
from mme2e.corpora.emodb import SENTENCES, read_emodb
from mme2e.corpora.ferplus import COLUMNS, read_ferplus
from mme2e.corpora.goemotions import EKMAN, read_goemotions
from mme2e.corpora.isear import read_isear
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.readers import read_corpus
from mme2e.corpora.row_groups import ROWS_TOGETHER
from mme2e.errors import UserError


def reasons(corpus) -> dict[str, str]:
    return {skipped.item: skipped.reason for skipped in corpus.skipped}


class TestEmoDb:
    def test_names_give_speaker_sentence_and_emotion(self, tmp_path):
        (tmp_path / "wav").mkdir()
        for name in ("03a01Fa.wav", "16b10Wb.flac", "08a02Lc.wav", "03a03Fa.wav", "03a01Xa.wav", "notes.wav"):
            (tmp_path / "wav" / name).touch()
        corpus = read_corpus("emodb", tmp_path)
        assert [(u.id, u.speaker, u.labels) for u in corpus.utterances] == [
            ("03a01Fa", "speaker03", ("happy",)),
            ("08a02Lc", "speaker08", ("bored",)),
            ("16b10Wb", "speaker16", ("angry",)),
        ]
        first = corpus.utterances[0]
        assert (first.text, first.audio) == ("Der Lappen liegt auf dem Eisschrank.", tmp_path / "wav" / "03a01Fa.wav")
        assert (first.recording, first.split, first.end_s) == ("03a01Fa", None, None)
        assert corpus.label_names == ("angry", "bored", "disgust", "fear", "happy", "sad", "neutral")
        assert set(reasons(corpus)) == {"03a03Fa.wav", "03a01Xa.wav", "notes.wav"}

    def test_a_folder_without_any_is_one_line(self, tmp_path):
        with pytest.raises(UserError, match=r"no file of EMO-DB like 03a01Fa\.wav"):
            read_emodb(tmp_path)


def write_ferplus(root: Path, *rows: str, images: tuple[str, ...] = ()) -> Path:
    (root / "fer2013new.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48)).save(root / name)
    return root


class TestFerPlus:
    def test_votes_labels_and_splits(self, tmp_path):
        write_ferplus(
            tmp_path,
            "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
            "PublicTest,fer0028638.png,0,3,0,0,3,0,0,4,0,0",
            "PrivateTest,fer0032220.png,0,0,2,2,0,0,0,0,2,0",
            images=("FER2013Train/fer0000000.png", "FER2013Valid/fer0028638.png", "any/where/fer0032220.jpg"),
        )
        corpus = read_corpus("ferplus", tmp_path)
        first, second, third = corpus.utterances
        assert (first.id, first.split, first.labels) == ("fer0000000", "train", ("neutral",))
        assert first.votes == (("neutral", 4), ("sadness", 1), ("anger", 3), ("disgust", 2))
        assert first.images == (tmp_path / "FER2013Train" / "fer0000000.png",)
        assert all(u.face_crop for u in corpus.utterances)
        assert (second.split, second.labels) == ("valid", ("contempt",))
        assert (third.split, third.labels) == ("test", ("surprise",))  # as many votes for sadness and for unknown
        assert third.images[0].name == "fer0032220.jpg"
        assert not corpus.multi_label
        assert corpus.skipped == ()
        assert len({u.recording for u in corpus.utterances}) == 3

    @pytest.mark.parametrize(
        ("row", "told"),
        [
            ("Training,,4,0,0,1,3,2,0,0,0,0", "no image name"),
            ("Training,fer1.png,2,0,0,0,0,0,0,0,3,0", "most votes are for unknown"),
            ("Training,fer1.png,2,0,0,0,0,0,0,0,0,8", "most votes are for NF"),
            ("Training,fer1.png,0,0,0,0,0,0,0,0,0,0", "no votes"),
            ("Training,fer1.png,2,-1,0,0,0,0,0,0,0,0", "votes below 0"),
            ("Training,fer2.png,2,0,0,0,0,0,0,0,0,0", "no image fer2.png"),
            ("Holdout,fer1.png,2,0,0,0,0,0,0,0,0,0", "Usage 'Holdout'; there are Training, PublicTest, PrivateTest"),
            ("Training,fer1.png,2,0", "too few cells"),
            ("Training,fer0.png,2,0,0,0,0,0,0,0,0,0", "second row of fer0"),
        ],
    )
    def test_rows_that_cannot_be_used(self, tmp_path, row, told):
        good = "Training,fer0.png,4,0,0,1,3,2,0,0,0,0"
        corpus = read_ferplus(write_ferplus(tmp_path, good, row, images=("fer0.png", "fer1.png")))
        assert [u.id for u in corpus.utterances] == ["fer0"]
        assert reasons(corpus) == {"fer2013new.csv:3": told}

    def test_without_images_it_says_how_to_make_them(self, tmp_path):
        write_ferplus(tmp_path, "Training,fer0.png,4,0,0,1,3,2,0,0,0,0")
        with pytest.raises(UserError, match=r"no image files .*get fer2013.csv.*generate_training_data\.py"):
            read_ferplus(tmp_path)
        (tmp_path / "fer2013.csv").touch()
        with pytest.raises(UserError, match=r"fer2013.csv there holds them as numbers.*generate_training_data\.py"):
            read_ferplus(tmp_path)

    def test_without_votes(self, tmp_path):
        with pytest.raises(UserError, match=r"has no fer2013new\.csv"):
            read_ferplus(tmp_path)
        (tmp_path / "fer2013new.csv").write_text("Usage\nTraining\n")
        Image.new("L", (48, 48)).save(tmp_path / "fer0.png")
        with pytest.raises(UserError, match=r"no row of fer2013new\.csv can be used.*no column Image name"):
            read_ferplus(tmp_path)

    def test_rows_are_put_together(self, tmp_path):
        names = [f"fer{i}.png" for i in range(ROWS_TOGETHER + 1)]
        rows = [f"Training,{name},4,0,0,1,3,2,0,0,0,0" for name in names]
        write_ferplus(tmp_path, *rows)
        for name in names:
            (tmp_path / name).touch()
        recordings = [u.recording for u in read_ferplus(tmp_path).utterances]
        assert recordings == ["train_0000"] * ROWS_TOGETHER + ["train_0001"]


EMOTIONS = [emotion for members in EKMAN.values() for emotion in members]


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    (tmp_path / "emotions.txt").write_text("\n".join(EMOTIONS), encoding="utf-8")
    (tmp_path / "train.tsv").write_text(
        f'He said "no\t0,{EMOTIONS.index("love")}\tc1\nWhat\t27\tc2\nbroken\nNone\t28\tc3\n\t1\tc4\nAgain\t1\tc2\n',
        encoding="utf-8",
    )
    (tmp_path / "dev.tsv").write_text(f"[NAME] is late\t1,{EMOTIONS.index('disapproval')}\tc9\n", encoding="utf-8")
    return tmp_path


class TestGoEmotions:
    def test_all_emotions(self, comments):
        corpus = read_corpus("goemotions", comments)
        assert [(u.id, u.split, u.labels, u.text) for u in corpus.utterances] == [
            ("c1", "train", ("anger", "love"), 'He said "no'),
            ("c2", "train", ("neutral",), "What"),
            ("c9", "valid", ("annoyance", "disapproval"), "[NAME] is late"),
        ]
        assert (corpus.name, corpus.label_names, corpus.multi_label) == ("goemotions", tuple(EMOTIONS), True)
        assert reasons(corpus) == {
            "train.tsv:3": "1 cells with tabs between them; expected are text, emotions and id",
            "train.tsv:4": "emotion '28'; expected are numbers from 0 to 27",
            "train.tsv:5": "no text",
            "train.tsv:6": "second row of c2",
            "test.tsv": "no such file: the corpus is without this split",
        }

    def test_grouped_by_ekman_s_emotions(self, comments):
        corpus = read_corpus("goemotions_ekman", comments)
        assert [u.labels for u in corpus.utterances] == [("anger", "joy"), ("neutral",), ("anger",)]
        assert corpus.name == "goemotions_ekman"
        assert corpus.label_names == ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")

    def test_the_groups_have_each_emotion_once(self):
        assert len(EMOTIONS) == len(set(EMOTIONS)) == 28

    def test_folders_that_are_none(self, tmp_path):
        with pytest.raises(UserError, match=r"has no emotions\.txt"):
            read_goemotions(tmp_path)
        (tmp_path / "emotions.txt").write_text("boredom\n")
        with pytest.raises(UserError, match=r"has no usable row of train\.tsv, dev\.tsv, test\.tsv"):
            read_goemotions(tmp_path)
        with pytest.raises(UserError, match="'boredom', which is in no group"):
            goemotions.read_goemotions_ekman(tmp_path)
        with pytest.raises(ValueError, match="grouping is 'plutchik'"):
            read_goemotions(tmp_path, grouping="plutchik")


DATABASE = (
    "ID|CITY|EMOT|Field1|Field3|MYKEY|SIT|STATE|\n"
    "11001|1|1|joy|4|0110011|Each time that we met and á especially, after\xe1a while.|1|\n"
    "11001|1|2|fear|4|0110012|[ No response.]|1|\n"
    "11002|1|3|anger|4|0110023|A car; two, three.|1|\n"
    "11002|1|3|guit|4|0110027|Odd.|1|\n"
)


class TestIsear:
    def test_the_database(self, tmp_path):
        (tmp_path / "isear.csv").write_text(DATABASE, encoding="latin-1")
        (tmp_path / "other.csv").touch()
        corpus = read_corpus("isear", tmp_path)
        assert [(u.id, u.speaker, u.labels, u.text) for u in corpus.utterances] == [
            ("0110011", "person11001", ("joy",), "Each time that we met and especially, after a while."),
            ("0110023", "person11002", ("anger",), "A car; two, three."),
        ]
        assert all(u.recording == u.speaker and u.split is None for u in corpus.utterances)
        assert reasons(corpus) == {
            "isear.csv:3": "no answer: '[ No response.]'",
            "isear.csv:5": "emotion 'guit'; there are joy, fear, anger, sadness, disgust, shame, guilt",
        }

    def test_emotions_as_numbers(self, tmp_path):
        (tmp_path / "x.csv").write_text("MYKEY|EMOT|SIT\n1|7|Late.\n2|8|Never.\n")
        assert [u.labels for u in read_isear(tmp_path / "x.csv").utterances] == [("guilt",)]

    @pytest.mark.parametrize(
        "content",
        [
            ',emotion,text\n0,joy,"One,\ntwo."\n1,Shame,Three.\n',
            'ID,SENTIMENT,CONTENT\n7,joy,"One,\ntwo."\n8,shame,Three.\n',
            'joy,"One,á\ntwo."\nshame,Three.\n',
            '0;joy;"One,á\ntwo.";\n1;shame;Three.;\n',
        ],
    )
    def test_tables_of_emotion_and_text(self, tmp_path, content):
        (tmp_path / "DATA.CSV").write_text(content, encoding="utf-8")
        corpus = read_isear(tmp_path)
        assert [(u.labels, u.text) for u in corpus.utterances] == [(("joy",), "One, two."), (("shame",), "Three.")]
        assert [u.recording for u in corpus.utterances] == ["rows_0000"] * 2
        first = 1 if content[0] in "j0" else 2
        assert [u.id for u in corpus.utterances] == [f"isear_{first}", f"isear_{first + 2}"]

    @pytest.mark.parametrize(
        "answer",
        [
            "NO RESPONSE.",
            "[ No reponse.]",
            "[ No description.]",
            "Doesn't apply.",
            "Does not apply.",
            "[ Not applicable to myself.]",
            "None.",
            "Blank.",
            "[ Can not think of anything just now.]",
            "[ Never experienced.]",
            "[ I have never felt this emotion.]",
            "[ Do not know.]",
            "[ Same as in anger.]",
            "[ The same as in guilt.]",
            "[]",
            "á",
        ],
    )
    def test_no_answers(self, tmp_path, answer):
        path = tmp_path / "isear.csv"
        path.write_text(f"emotion,text\njoy,Yes.\nfear,{answer}\n", encoding="utf-8")
        corpus = read_isear(path)
        assert len(corpus.utterances) == 1
        assert reasons(corpus)["isear.csv:3"].startswith("no answer: ")

    @pytest.mark.parametrize(
        "answer", ["[ On days when I feel close.]", "Nothing happened.", "I do not recall being scared lately."]
    )
    def test_answers(self, tmp_path, answer):
        path = tmp_path / "isear.csv"
        path.write_text(f"emotion,text\nfear,{answer}\n", encoding="utf-8")
        assert read_isear(path).utterances[0].text == answer

    def test_what_is_no_such_table(self, tmp_path):
        with pytest.raises(UserError, match=r"has no table \*\.csv"):
            read_isear(tmp_path)
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        with pytest.raises(UserError, match=r"has the columns a, b; expected are one of field1, emotion"):
            read_isear(tmp_path)
        (tmp_path / "b.csv").write_text("emotion,text\nboredom,hm\n")
        with pytest.raises(UserError, match=r"has 2 tables"):
            read_isear(tmp_path)
        with pytest.raises(UserError, match=r"has no usable row; the first reason: b\.csv:2: emotion 'boredom'"):
            read_isear(tmp_path / "b.csv")
        with pytest.raises(UserError, match="does not exist"):
            read_isear(tmp_path / "gone")


def test_sentences_are_those_of_open_data(shared):
    names, spoken = [], []
    for line in shared("open/emodb.csv").read_text(encoding="utf-8").splitlines()[1:]:
        names.append(line.split(".flac")[0].split("emodb_")[1])
        spoken.append(line)
    assert all(SENTENCES[name[2:5]] in line for name, line in zip(names, spoken, strict=True))


@pytest.mark.parametrize(("name", "rows"), [("emodb.csv", 315), ("goemotions.csv", 46046), ("isear.csv", 4889)])
def test_open_tables(shared, name, rows):
    corpus = read_manifest(shared(f"open/{name}"))
    assert len(corpus.utterances) == rows
    assert set(corpus.label_names) <= {"angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"}
    assert {u.split for u in corpus.utterances} == {"train", "valid"}

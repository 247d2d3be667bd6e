import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from shown import shown
from tiny_corpus import LABEL_NAMES, write_tiny_corpus

from mme2e.__main__ import main
from mme2e.auditing.audit import audit
from mme2e.auditing.plot import plot_audit
from mme2e.auditing.report import to_markdown
from mme2e.auditing.result import Audit
from mme2e.auditing.run import audit_corpus, group_reasons
from mme2e.data.corpus import load_corpus
from mme2e.data.schema import ROW_SCHEMA, CorpusInfo
from mme2e.errors import UserError
from mme2e.faces.face_crop import FaceFlag
from mme2e.records import plain
from mme2e.scores.overlap import overlap_of

HELD = int(FaceFlag.HELD)
LONG_NAMES = ("anger", "disgust", "fear", "happiness", "neutral state", "sadness", "surprise (of any kind)")


def look(corpus: Path) -> Audit:
    """Without the report, whose picture takes a second."""
    return audit_corpus(load_corpus(corpus))


def rewrite(corpus: Path, split: str, change: Callable[[list[dict]], list[dict]]) -> None:
    """Changes the rows of a split of a tiny corpus."""
    path = corpus / split / "00000.parquet"
    rows = change(pq.read_table(path).to_pylist())
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), path)


def describe_as(corpus: Path, **changes) -> None:
    dataclasses.replace(CorpusInfo.read(corpus), **changes).write(corpus)


def each(**columns) -> Callable[[list[dict]], list[dict]]:
    return lambda rows: [{**row, **columns} for row in rows]


@pytest.fixture
def corpus(tmp_path) -> Path:
    return write_tiny_corpus(tmp_path / "corpus", 6)


class TestCounts:
    def test_of_a_single_label_corpus(self, corpus):
        found = look(corpus)
        assert [split.name for split in found.splits] == ["train", "valid", "test"]
        train = found.splits[0]
        assert (train.utterances, train.recordings, train.speakers) == (6, 3, 2)
        assert train.positives == (2, 2, 2)
        assert train.co_occurrence == ((2, 0, 0), (0, 2, 0), (0, 0, 2))
        assert train.unlabelled == 0
        assert train.durations is not None
        durations = (train.durations.total_s, train.durations.mean_s, train.durations.median_s)
        assert durations == pytest.approx((6.0, 1.0, 1.0))
        assert (train.durations.shortest_s, train.durations.longest_s) == pytest.approx((0.5, 1.5))
        assert train.words == 6 * 5  # "it was a furious day"
        assert (train.frames, train.frames_with_face, train.face_share) == (12, 12, 1.0)
        assert (train.no_text, train.no_audio, train.no_face) == (0, 0, 0)
        assert (found.all.utterances, found.all.recordings, found.all.positives) == (18, 9, (6, 6, 6))
        assert found.published == {}

    def test_of_a_multi_label_corpus(self, tmp_path):
        found = look(write_tiny_corpus(tmp_path / "corpus", 9, multi_label=True))
        test = found.splits[2]
        assert test.unlabelled == 3
        assert test.positives == (3, 3, 3)
        for index, row in enumerate(test.co_occurrence):
            assert row[index] == test.positives[index]
            assert sum(row) - row[index] == 2  # of its three, one alone and two with either neighbour
        assert "Utterances with both emotions" in to_markdown(look(tmp_path / "corpus"))

    def test_missing_modalities(self, corpus):
        def lacking(rows: list[dict]) -> list[dict]:
            rows[0] |= {"text": None}
            rows[1] |= {"text": "  "}
            rows[2] |= {"audio": None, "num_samples": 0}
            rows[3] |= {"face_crops": [], "face_times_s": [], "face_flags": [], "face_boxes": []}
            rows[4] |= {"face_flags": [HELD] * 2}
            return rows

        rewrite(corpus, "valid", lacking)
        valid = look(corpus).splits[1]
        assert (valid.no_text, valid.no_audio, valid.no_face) == (2, 1, 2)
        assert (valid.frames, valid.frames_with_face) == (11, 9)

    @pytest.mark.parametrize(("name", "total"), [("iemocap", 7380), ("mosei", 20477)])
    def test_beside_the_published_ones(self, tmp_path, name, total):
        corpus = write_tiny_corpus(tmp_path / "corpus", 3, name=name)
        found = look(corpus)
        assert sum(found.published.values()) == total
        assert str(total) in to_markdown(found)
        assert any("split otherwise" in finding for finding in found.findings)
        describe_as(corpus, split_protocol="published lists (SPLIT)")
        assert not any("split otherwise" in finding for finding in look(corpus).findings)


class TestLeakage:
    def test_nothing_but_texts(self, corpus):
        found = load_corpus(corpus).leakage()
        assert (found.recordings.shared, found.recordings.of, found.recordings.share) == (0, 3, 0)
        assert (found.speakers.shared, found.speakers.of, found.speakers.share) == (0, 2, 0)
        assert (found.texts.shared, found.texts.of, found.texts.share) == (3, 3, 1)

    def test_utterances_are_counted_by_what_they_share(self, corpus):
        rewrite(corpus, "test", lambda rows: [{**rows[0], "recording": "train_recording1", "speaker": "x"}, *rows[1:]])
        rewrite(corpus, "test", lambda rows: [{**row, "text": f"text {i}"} for i, row in enumerate(rows)])
        rewrite(corpus, "test", lambda rows: [{**rows[0], "text": "IT  was a\tfurious day "}, *rows[1:]])
        found = load_corpus(corpus).leakage()
        assert (found.recordings.shared, found.recordings.of, found.recordings.utterances) == (1, 4, 1)
        assert found.recordings.share == pytest.approx(1 / 6)
        assert (found.speakers.shared, found.speakers.of) == (0, 3)
        assert (found.texts.shared, found.texts.of, found.texts.utterances) == (1, 6, 1)
        assert str(found).startswith("1 of 4 recordings, 0 of 3 speakers and 1 of 6 texts are in the training split")

    def test_missing_texts_are_not_the_same_text(self, corpus):
        for split in ("train", "test"):
            rewrite(corpus, split, lambda rows: [{**row, "text": (None, "", " ")[i % 3]} for i, row in enumerate(rows)])
        texts = load_corpus(corpus).leakage().texts
        assert (texts.shared, texts.of, texts.share) == (0, 0, 0)

    def test_of_no_utterances(self):
        assert overlap_of([], ["a"]).share is None
        assert overlap_of(["a", None], []).share == 0

    def test_a_split_that_is_not_there(self, corpus):
        shutil.rmtree(corpus / "test")
        found = load_corpus(corpus).leakage()
        assert found.texts.share is None
        assert "0 of 0 texts" in str(found)


class TestVerdict:
    def shared(self, corpus: Path) -> None:
        rewrite(corpus, "test", each(recording="train_recording0"))

    def test_shared_recordings_are_status_1(self, corpus, tmp_path, capsys):
        assert main(["audit", str(corpus), "--out", str(tmp_path / "out")]) == 0
        assert "train and test share no recording" in capsys.readouterr().out
        self.shared(corpus)
        assert main(["audit", str(corpus), "--out", str(tmp_path / "out")]) == 1
        assert "share 1 recordings, which this split protocol does not declare" in capsys.readouterr().out
        assert json.loads((tmp_path / "out" / "audit.json").read_text())["leaks"] is True

    def test_published_lists_of_iemocap_share_by_design(self, corpus):
        self.shared(corpus)
        describe_as(corpus, name="iemocap", split_protocol="published lists (IEMOCAP_SPLIT)")
        found = look(corpus)
        assert found.leakages[0].recordings.shared == 1
        assert not found.leaks
        describe_as(corpus, name="iemocap", split_protocol="session, fold 5")
        assert look(corpus).leaks

    def test_published_lists_of_mosei_do_not(self, corpus):
        describe_as(corpus, name="mosei", split_protocol="published lists (MOSEI_SPLIT)")
        assert not CorpusInfo.read(corpus).shares_recordings_by_design

    def test_validation_that_shares_with_training_is_told_only(self, corpus):
        rewrite(corpus, "valid", each(recording="train_recording0"))
        found = look(corpus)
        assert found.leakages[1].recordings.share == 1
        assert not found.leaks


class TestFindings:
    def test_an_empty_split(self, corpus):
        rewrite(corpus, "valid", lambda _: [])
        describe_as(corpus, counts={"train": 6, "test": 6})
        found = look(corpus)
        assert found.splits[1].utterances == 0
        assert found.splits[1].durations is None
        assert found.splits[1].face_share is None
        assert found.findings == ("train and test share no recording", "no utterances in valid")
        assert plot_audit(found).startswith(b"\x89PNG")

    def test_a_single_split(self, corpus):
        for split in ("train", "valid"):
            shutil.rmtree(corpus / split)
        describe_as(corpus, counts={"test": 6})
        found = look(corpus)
        assert found.findings[0] == "without train or without test there is nothing to share"
        assert not found.leaks

    def test_no_utterance_at_all(self, corpus):
        for split in ("train", "valid", "test"):
            shutil.rmtree(corpus / split)
        found = look(corpus)
        assert found.all.utterances == 0
        assert found.all.co_occurrence == ((0, 0, 0),) * 3
        assert plot_audit(found).startswith(b"\x89PNG")
        assert "0 of 0" in to_markdown(found)

    def test_utterances_without_split(self, corpus):
        (corpus / "test").rename(corpus / "unassigned")
        describe_as(corpus, counts={"train": 6, "valid": 6, "unassigned": 6})
        found = look(corpus)
        assert [split.name for split in found.splits] == ["train", "valid", "test", "unassigned"]
        assert [split.utterances for split in found.splits] == [6, 6, 0, 6]

    def test_one_utterance_without_label(self, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 1)
        rewrite(corpus, "test", each(labels=[]))
        found = look(corpus)
        assert found.splits[2].unlabelled == 1
        assert "1 utterances have no label or several, although the corpus is single-label" in found.findings
        lacking = "no utterance is angry in test: its scores are undefined there"
        assert lacking in found.findings
        assert "no utterance is happy in train, valid, test: its scores are undefined there" in found.findings

    def test_files_that_do_not_fit_corpus_json(self, corpus):
        rewrite(corpus, "train", lambda rows: rows[:-1])
        assert "corpus.json counts 6 utterances in train, its files contain 5" in look(corpus).findings

    def test_an_id_that_comes_twice(self, corpus):
        rewrite(corpus, "valid", lambda rows: [{**rows[0], "id": "train_000"}, *rows[1:]])
        assert "1 utterance ids come more than once, like 'train_000'" in look(corpus).findings


class TestSkipped:
    def test_reasons_without_names_and_numbers(self):
        skipped = [
            {"item": "Ses01F_000", "reason": "label xxx"},
            {"item": "Ses01F_001", "reason": "label xxx"},
            {"item": "Ses01F_002", "reason": "label oth"},
            {"item": "u1", "reason": "sound missing: a1.wav ends before; words missing: no transcript"},
            {"item": "u2", "reason": "sound missing: b.wav ends before"},
            {"item": "u3", "reason": "left out: picture missing: c.mp4 ends before; words missing: no transcript"},
            {"item": "a.txt:3", "reason": "not 'id [start-end]: text': what a line; it is odd"},
            {"item": "a.txt:9", "reason": "not 'id [start-end]: text': another"},
            {"item": "v_1", "reason": "no video Videos/Full/Combined/v.mp4"},
            {"item": "w_1", "reason": "no video Videos/Full/Combined/w.mp4"},
            {"item": "x_1", "reason": "ends at 3.5 s, not after its start at 4 s"},
        ]
        groups = {group.reason: (group.count, group.example) for group in group_reasons(skipped)}
        assert groups == {
            "label xxx": (2, "Ses01F_000"),
            "label oth": (1, "Ses01F_002"),
            "sound missing: … ends before": (2, "u1"),
            "words missing: no transcript": (1, "u1"),
            "left out: picture missing: … ends before": (1, "u3"),
            "left out: words missing: no transcript": (1, "u3"),
            "not 'id [start-end]: text': …": (2, "a.txt:3"),
            "no video …": (2, "v_1"),
            "ends at … s, not after its start at … s": (1, "x_1"),
        }
        assert group_reasons(skipped)[0].count == 2

    def test_none(self):
        assert group_reasons([]) == ()

    def test_many_are_cut_on_the_terminal_only(self, corpus):
        reasons = [f"reason {'abcdefghijklmnopqrst'[i]}" for i in range(20)]
        describe_as(corpus, skipped=tuple({"item": "[b]x[/b]", "reason": reason} for reason in reasons))
        printed = shown(look(corpus))
        assert "8 more reasons" in printed
        assert "first: [b]x[/b]" in printed  # no markup
        markdown = to_markdown(look(corpus))
        assert all(f"| {reason} | 1 |" in markdown for reason in reasons)


class TestReport:
    def test_files_agree(self, corpus, tmp_path):
        found = audit(corpus, out=tmp_path / "out")
        content = json.loads((tmp_path / "out" / "audit.json").read_text())
        assert content == plain(found)
        assert content["all"]["face_share"] == 1
        assert content["leakages"][0]["texts"]["share"] == 1
        assert content["leaks"] is False
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.json", "audit.md", "audit.png"]
        with Image.open(tmp_path / "out" / "audit.png") as image:
            assert min(image.size) > 600

    def test_default_folder(self, corpus):
        audit(corpus)
        assert (corpus / "audit" / "audit.json").is_file()

    @pytest.mark.parametrize("multi_label", [False, True])
    def test_seven_long_names_fit(self, corpus, multi_label):
        describe_as(corpus, label_names=(*LABEL_NAMES, *LONG_NAMES[3:]), multi_label=multi_label)
        found = look(corpus)
        printed = shown(found, width=80)
        assert plot_audit(found).startswith(b"\x89PNG")
        assert len(found.all.positives) == 7
        assert max(len(line) for line in printed.splitlines() if "─" in line) <= 80
        assert "surprise (of any kind)" in printed


class TestRefusals:
    def test_no_corpus(self, tmp_path, capsys):
        assert main(["audit", str(tmp_path / "nowhere")]) == 2
        assert "no folder" in capsys.readouterr().err

    def test_newer_schema(self, corpus, capsys):
        content = json.loads((corpus / "corpus.json").read_text())
        (corpus / "corpus.json").write_text(json.dumps({**content, "schema_version": 999}))
        assert main(["audit", str(corpus)]) == 2
        assert "schema version 999" in capsys.readouterr().err

    @pytest.mark.parametrize("damage", ["cut", "flipped", "other columns"])
    def test_damaged_file_is_named(self, corpus, damage):
        path = corpus / "valid" / "00000.parquet"
        content = bytearray(path.read_bytes())
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "flipped":
            content[-5] ^= 0xFF  # length of the footer
            path.write_bytes(content)
        else:
            pq.write_table(pa.table({"id": ["a"]}), path)
        with pytest.raises(UserError, match=r"valid.00000\.parquet"):
            look(corpus)

    def test_unknown_label(self, corpus):
        rewrite(corpus, "test", each(labels=["bored"]))
        with pytest.raises(UserError, match="'bored'"):
            look(corpus)

    def test_folder_that_cannot_be_written(self, corpus, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match=r"cannot write the audit into .*--out"):
            audit(corpus, out=tmp_path / "file")

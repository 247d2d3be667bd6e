"""The processed layout of the reference, written for the generated corpus, read, prepared and trained from."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mme2e.__main__ import main
from mme2e.config import SampleSettings
from mme2e.corpora.readers import read_corpus
from mme2e.data.corpus import load_corpus
from mme2e.data.features import load_features
from mme2e.generated.reference_layout import write_reference_layout
from mme2e.generated.writer import sample
from mme2e.media.image import read_image
from mme2e.reference.layout import read_reference

COUNTS = {"iemocap": 3, "mosei": 3}


@pytest.fixture(scope="module", params=["iemocap", "mosei"])
def layout(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Corpus, its raw layout and its processed layout."""
    corpus, folder = request.param, tmp_path_factory.mktemp(request.param)
    sample(folder / "raw", SampleSettings(layout=corpus, utterances=COUNTS[corpus], seed=1))
    write_reference_layout(read_corpus(corpus, folder / "raw"), folder / "processed")
    return corpus, folder / "raw", folder / "processed"


def test_a_sample_comes_in_the_processed_layout(tmp_path: Path):
    sample(tmp_path / "out", SampleSettings(layout="reference-mosei", utterances=1))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"MOSEI_RAW_PROCESSED", "README.txt"}
    assert "processed layout of the reference's authors" in (tmp_path / "out" / "README.txt").read_text()
    assert len(read_reference(tmp_path / "out", corpus="mosei").utterances) == 1


def test_both_layouts_hold_the_same_utterances(layout):
    corpus, raw, processed = layout
    before, after = read_corpus(corpus, raw), read_reference(processed, corpus=corpus)
    assert after.skipped == ()
    assert after.label_names == before.label_names
    found = {u.id: u for u in after.utterances}
    assert set(found) == {u.id for u in before.utterances}
    for utterance in before.utterances:
        same = found[utterance.id]
        assert (same.recording, same.speaker, same.text) == (utterance.recording, utterance.speaker, utterance.text)
        assert same.labels == utterance.labels
        assert len(same.images) - 1 == int((utterance.end_s - utterance.start_s) * 30)
        assert same.split is not None


def test_images_are_of_the_speaker_or_whole(layout):
    corpus, _, processed = layout
    sizes = {read_image(u.images[0]).pixels.shape for u in read_reference(processed, corpus=corpus).utterances}
    assert sizes == {"iemocap": {(224, 224, 3)}, "mosei": {(360, 480, 3)}}[corpus]


def test_the_pickles_hold_plain_things(layout):
    corpus, _, processed = layout
    meta = pickle.loads((processed / f"{corpus.upper()}_RAW_PROCESSED" / "meta.pkl").read_bytes())
    entry = next(iter(meta.values()))
    assert set(entry) == {"text", "label"}
    assert isinstance(entry["label"], {"iemocap": str, "mosei": list}[corpus])


def test_it_prepares_with_its_features(layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus, _, processed = layout
    words = ["prepare", "reference", str(processed), str(tmp_path / "out"), "--corpus", corpus]
    assert main(words) == 0
    told = capsys.readouterr().out
    sizes = {"iemocap": "text 300, acoustic 763, visual 35", "mosei": "text 300, acoustic 74, visual 35"}[corpus]
    assert f"of {COUNTS[corpus]} utterances from {corpus.upper()}_HCF_FEATURES, sizes {sizes}" in told
    prepared = load_corpus(tmp_path / "out")
    assert sum(prepared.info.counts.values()) == COUNTS[corpus]
    assert prepared.info.skipped == ()
    features = load_features(prepared)
    for split in prepared.splits:
        for row in prepared.split(split):
            assert 1 <= len(row["face_crops"]) == np.ceil((row["end_s"] - row["start_s"]) / 0.5)
            assert all(matrix is not None for matrix in features.split(split)[row["id"]])
    assert main(words) == 0
    assert "there already" in capsys.readouterr().out


def test_the_command_line_asks_which_corpus(layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus, raw, processed = layout
    for words, message in (
        (["reference", str(processed)], "requires --corpus iemocap or --corpus mosei"),
        ([corpus, str(raw), "--corpus", corpus], "requires layout reference"),
        (["reference", str(processed), "--corpus", corpus, "--source_fps", "2"], "images a second, not 2"),
    ):
        assert main(["prepare", *words[:2], str(tmp_path / "out"), *words[2:]]) == 2
        assert message in capsys.readouterr().err

"""Pictures of what MESM kept: drawn for any number of frames and chunks, written whole or not at all."""

from dataclasses import replace
from pathlib import Path

import matplotlib.cbook
import matplotlib.figure
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from media_writing import write_sound, write_video
from PIL import Image
from tiny_corpus import write_tiny_corpus
from tiny_mesm import make_tiny, make_utterances
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.__main__ import main
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.data.schema import ROW_SCHEMA
from mme2e.errors import UserError
from mme2e.inference.picture import picture
from mme2e.inference.pictures import MAX_FRAMES, Caption, draw_selection, selection_figure
from mme2e.inference.result import Emotion
from mme2e.inference.selected_sites import SelectedSites, StageSelection, selected_sites

LABELS = ("angry", "happy", "sad")


def caption(frames: int, **changes: object) -> Caption:
    emotions = (
        Emotion(name="angry", probability=0.25, threshold=0.5, present=False),
        Emotion(name="happy", probability=0.75, threshold=0.5, present=True),
    )
    times = tuple(3 + 0.5 * frame for frame in range(frames))
    told = {"source": "clip.mp4", "start_s": 3.0, "end_s": 4.5, "text": "what a day", "frame_times_s": times}
    return Caption(emotions=emotions, **(told | changes))  # type: ignore[arg-type]


def figure_of(frames: int, chunks: int, **changes: object) -> matplotlib.figure.Figure:
    batch = make_utterances((frames,), (chunks,))
    sites = selected_sites(make_tiny(), batch)
    return selection_figure(sites=sites, batch=batch, caption=caption(frames, **changes))


def words_of(figure: matplotlib.figure.Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def images_of(figure: matplotlib.figure.Figure) -> list[np.ndarray]:
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("frames", "chunks"), [(1, 1), (2, 0), (0, 3), (0, 0), (25, 60)])
def test_any_number_of_frames_and_chunks(frames: int, chunks: int, tmp_path: Path) -> None:
    batch = make_utterances((frames,), (chunks,))
    sites = selected_sites(make_tiny(), batch)
    figure = selection_figure(sites=sites, batch=batch, caption=caption(frames))
    images = images_of(figure)
    assert len(images) == 4 * min(frames, MAX_FRAMES) + 4 * (chunks > 0)
    words = words_of(figure)
    assert ("No face crops" in words, "No audio" in words) == (frames == 0, chunks == 0)
    assert (f"{MAX_FRAMES} of {frames}, evenly spaced" in words) == (frames > MAX_FRAMES)
    out = tmp_path / "kept.png"
    draw_selection(out, sites=sites, batch=batch, caption=caption(frames))
    with Image.open(out) as image:
        assert image.width == 1800
        assert image.height <= 2000
    assert list(tmp_path.iterdir()) == [out]


def test_frames_that_are_shown_are_first_last_and_evenly_spaced() -> None:
    figure = figure_of(19, 0)
    times = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert times == [f"{3 + 0.5 * frame:.2f} s" for frame in range(0, 19, 2)]


def test_sites_that_were_dropped_are_dark_in_their_place() -> None:
    """A white crop and a loud chunk, of which known sites are kept."""
    batch = Batch(
        face_crops=Ragged.join([torch.full((1, 3, 48, 48), 255, dtype=torch.uint8)]),
        mel_chunks=Ragged.join([torch.ones(1, 1, 128, 32)]),
    )
    face, sound = np.zeros((1, 24, 24), bool), np.zeros((1, 64, 16), bool)
    face[0, 0, 23] = True  # top right
    sound[0, 0, 0] = True  # lowest band, first column

    def stages(kept: np.ndarray) -> tuple[StageSelection, ...]:
        return (StageSelection(candidates=np.ones_like(kept), kept=kept, attention=kept / 1.0, top_p=0.5),)

    sites = SelectedSites(logits=np.zeros(1), visual=stages(face), acoustic=stages(sound))  # type: ignore[arg-type]
    figure = selection_figure(sites=sites, batch=batch, caption=caption(1))
    whole_face, face_image, whole_sound, sound_image = images_of(figure)
    assert (whole_face == 1).all()
    bright = face_image.max(axis=-1) > 0.5
    assert bright[:8, 184:].all()
    assert bright.sum() == 64
    assert (whole_sound.max(axis=-1) > 0.5).all()
    bright = sound_image.max(axis=-1) > 0.5
    assert bright[:2, :2].all()
    assert bright.sum() == 4
    upwards = next(axes for axes in figure.axes if axes.get_ylabel().startswith("frequency"))
    assert upwards.get_ylim() == (-0.5, 127.5)
    assert "kept 0.2 %" in words_of(figure)  # 1 of 576
    assert "kept 0.1 %" in words_of(figure)  # 1 of 1024


def test_what_is_written() -> None:
    words = words_of(figure_of(1, 1, labels=("happy",), text="so  $5 or\n$6?"))
    assert "clip.mp4, 3.00 s to 4.50 s" in words
    assert '"so $5 or $6?"' in words
    assert "recognised: happy; labelled: happy\nprobabilities: happy\u00a00.75, angry\u00a00.25\n" in words
    assert "24 x 24 sites\np = 0.50\nkept " in words


def test_a_long_text_is_cut_and_no_text_is_told() -> None:
    lines = words_of(figure_of(0, 0, text="word " * 500)).splitlines()
    assert sum("word word" in line for line in lines) == 3
    assert max(len(line) for line in lines) <= 120
    assert "no text" in words_of(figure_of(0, 0, text=None))
    assert "No face crops: too dark" in words_of(figure_of(0, 0, missing={"visual": "too dark"}))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    batch = make_utterances((1,), (0,))
    out = tmp_path / f"kept{suffix}"
    draw_selection(out, sites=selected_sites(make_tiny(), batch), batch=batch, caption=caption(1))
    assert out.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("kept.gif", r"end in \.png, \.svg, \.pdf"),
        ("kept", "end in"),
        (".", "is a folder"),
        ("no/kept.png", "no folder"),
    ],
)
def test_names_that_are_refused(name: str, told: str, tmp_path: Path) -> None:
    batch = make_utterances((1,), (0,))
    sites = selected_sites(make_tiny(), batch)
    with pytest.raises(UserError, match=told):
        draw_selection(tmp_path / name, sites=sites, batch=batch, caption=caption(1))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(self: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    out = tmp_path / "kept.png"
    out.write_bytes(b"old")
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", fill_the_disk)
    batch = make_utterances((1,), (0,))
    with pytest.raises(UserError, match=r"kept\.png cannot be written: No space left"):
        draw_selection(out, sites=selected_sites(make_tiny(), batch), batch=batch, caption=caption(1))
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_more_than_one_utterance_and_other_times_are_refused(tmp_path: Path) -> None:
    batch = make_utterances((1, 2), (0, 1))
    sites = selected_sites(make_tiny(), batch)
    with pytest.raises(ValueError, match="one utterance, not 2"):
        draw_selection(tmp_path / "kept.png", sites=sites, batch=batch, caption=caption(3))
    batch = make_utterances((3,), (0,))
    sites = selected_sites(make_tiny(), batch)
    with pytest.raises(ValueError, match="2 frame_times_s do not fit 3 face crops"):
        draw_selection(tmp_path / "kept.png", sites=sites, batch=batch, caption=caption(2))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("data") / "corpus", utterances_per_split=3)


def write_run(folder: Path, name: str = "mesm", modalities: str = "tav") -> Path:
    return write_tiny_run(folder, model=replace(TINY_MODEL, name=name, modalities=modalities))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "mesm")


def test_an_utterance_of_a_corpus(run: Path, corpus: Path, tmp_path: Path) -> None:
    sites = picture(run, data=corpus, utterance="test_002", out=tmp_path / "kept.png").sites
    assert sites.visual is not None
    assert sites.acoustic is not None
    assert len(sites.visual[0].kept) == 3  # the third utterance has three frames
    assert len(sites.acoustic[0].kept) == 4  # and 1.5 s of sound
    assert (tmp_path / "kept.png").is_file()


def test_a_run_that_does_not_use_a_modality(corpus: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", modalities="tv")
    sites = picture(run, data=corpus, utterance="valid_000", out=tmp_path / "kept.png").sites
    assert sites.visual is not None
    assert sites.acoustic is None


def test_an_utterance_with_nothing_in_it_and_the_one_after_it(run: Path, tmp_path: Path) -> None:
    corpus = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=2)
    file = corpus / "test" / "00000.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[0] |= {"text": None, "audio": None, "num_samples": 0, "face_crops": [], "face_times_s": [], "face_flags": []}
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), file)
    with pytest.raises(UserError, match="test_000 has no text, which the model requires"):
        picture(run, data=corpus, utterance="test_000", out=tmp_path / "kept.png")
    sites = picture(run, data=corpus, utterance="test_001", out=tmp_path / "kept.png").sites
    assert sites.visual is not None
    assert len(sites.visual[0].kept) == 2


def test_the_verb(run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["picture", str(run), "--data", str(corpus), "--out", str(tmp_path / "kept.png"), "--utterance"]
    assert main([*words, "train_001"]) == 0
    assert "kept of utterance train_001" in capsys.readouterr().out
    (tmp_path / "kept.png").unlink()
    assert main([*words, "train_01"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has no utterance 'train_01'; it has, for instance, train_001" in error
    assert not (tmp_path / "kept.png").exists()


def test_the_verb_refuses_a_model_that_selects_nothing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = write_run(tmp_path / "fe2e", name="fe2e")
    words = ["--data", str(corpus), "--utterance", "test_000", "--out", str(tmp_path / "kept.png")]
    assert main(["picture", str(dense), *words]) == 2
    assert "fe2e computes all sites" in capsys.readouterr().err


def test_a_prediction_with_its_picture(run: Path, tmp_path: Path) -> None:
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        portrait = np.asarray(image.convert("RGB").resize((256, 300)))
    video = write_video(tmp_path / "face.mp4", [portrait] * 10)
    out = tmp_path / "kept.png"
    seen = mme2e.predict(video, run=run, transcript="it was a lovely day", picture=out)
    plain = mme2e.load(run).predict(video, transcript="it was a lovely day")
    (segment,) = seen.timeline.segments
    assert segment.emotions == plain.emotions
    with Image.open(out) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Her face has colours, and nothing is drawn of sound that is not there.
    assert (np.ptp(pixels, axis=-1) > 60).sum() > 1000
    assert pixels.shape[0] < 1200


def test_predicting_from_the_command_line_with_a_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone = write_sound(tmp_path / "tone.wav", (3000 * np.sin(np.arange(16000) / 10)).astype(np.int16)[None], 16000)
    words = ["predict", str(tone), "--run", str(run), "--transcript", "it was a lovely day", "--picture"]
    assert main([*words, str(tmp_path / "kept.pdf")]) == 0
    assert (tmp_path / "kept.pdf").is_file()
    assert "rests on text, acoustic" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "kept.gif")]) == 2
    assert "must end in .png" in capsys.readouterr().err


def test_a_picture_is_refused_before_the_video_is_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "fe2e", name="fe2e")
    with pytest.raises(UserError, match="fe2e computes all sites"):
        mme2e.predict(tmp_path / "nowhere.mp4", run=run, picture=tmp_path / "kept.png")
    with pytest.raises(UserError, match="no folder"):
        mme2e.predict(tmp_path / "nowhere.mp4", run=run, picture=tmp_path / "none" / "kept.png")

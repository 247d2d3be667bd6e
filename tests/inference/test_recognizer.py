"""From a video to emotions: what is there is used, what is not is told."""

import json
from dataclasses import replace
from pathlib import Path

import killing_decoder
import matplotlib.cbook
import numpy as np
import pytest
import torch
from media_writing import grey_image, write_sound, write_video
from PIL import Image
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.__main__ import main
from mme2e.config import AudioInputSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import MediaError, UserError
from mme2e.inference.model_input import MODALITIES
from mme2e.media.audio import decode_flac
from mme2e.media.decoder import DecoderProcess
from mme2e.media.mel_statistics import BandStatistics, statistics_of
from mme2e.media.region import Region, parse_region
from mme2e.models.device import resolve_device
from mme2e.runs.confidence import Confidence

LABELS = ("ang", "hap", "neu")


def write_run(folder: Path, modalities: str = "tav", **info: object) -> Path:
    return write_tiny_run(folder, model=replace(TINY_MODEL, modalities=modalities), label_names=LABELS, **info)


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize((256, 300)))


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_video(folder / "face.mp4", [portrait] * 20)
    write_video(folder / "grey.mp4", [grey_image(120, 120, 160)] * 10)
    tone = (3000 * np.sin(np.arange(16000) / 10)).astype(np.int16)
    write_sound(folder / "tone.wav", tone[None], 16000)
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tav")


def test_a_damaged_video_gets_a_note(run: Path, media: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    recognizer = mme2e.load(run)
    whole = write_video(tmp_path / "whole.avi", [portrait] * 20)
    assert recognizer.predict(whole, transcript="what a day").notes == ()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    (note,) = recognizer.predict(cut, transcript="what a day").notes
    assert note.startswith("video incomplete")
    assert "cut.avi is damaged: " in note


def test_a_face_and_words_without_sound(run: Path, media: Path) -> None:
    result = mme2e.load(run).predict(media / "face.mp4", transcript="what a happy day")
    assert [emotion.name for emotion in result.emotions] == list(LABELS)
    assert all(0 <= emotion.probability <= 1 for emotion in result.emotions)
    assert (result.frames, result.frames_with_face) == (4, 4)
    assert result.used == ("text", "visual")
    assert result.missing == {"acoustic": "face.mp4: the file has no audio"}
    assert result.end_s == pytest.approx(2.0, abs=0.11)
    assert set(result.seconds) == {"decode", "faces", "model"}


def test_a_picture_without_a_face_is_not_used(run: Path, media: Path) -> None:
    result = mme2e.load(run).predict(media / "grey.mp4", transcript="what a day")
    assert result.used == ("text",)
    assert result.missing["visual"] == "no face in 2 frames"
    # A grey picture adds nothing: the answer is that of the words alone.
    without = mme2e.load(run).predict(media / "tone.wav", transcript="what a day", start_s=0.0, end_s=1.0)
    assert without.missing["visual"] == "tone.wav: the file has no video"
    assert without.used == ("text", "acoustic")


def test_sound_alone(run: Path, media: Path) -> None:
    result = mme2e.load(run).predict(media / "tone.wav")
    assert result.used == ("acoustic",)
    assert result.missing["text"] == "no transcript was given"
    assert result.frames == 0
    assert result.end_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("modalities", ["t", "a", "ta"])
def test_without_video_no_face_detector_is_loaded(
    modalities: str, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mme2e.inference.recognizer.FaceDetector", lambda *_, **__: pytest.fail("loaded"))
    recognizer = mme2e.load(write_run(tmp_path / "run", modalities))
    result = recognizer.predict(media / "tone.wav", transcript="what a day")
    assert result.missing["visual"] == "the model was trained without it"
    if "t" in modalities:
        assert "text" in recognizer.predict(media / "face.mp4", transcript="what a day").used


def test_each_missing_modality_changes_the_answer(run: Path, media: Path) -> None:
    recognizer = mme2e.load(run)
    both = recognizer.predict(media / "face.mp4", transcript="I am so happy")
    face = recognizer.predict(media / "face.mp4")
    assert [e.probability for e in both.emotions] != [e.probability for e in face.emotions]


def test_nothing_to_go_by(run: Path, media: Path) -> None:
    with pytest.raises(UserError, match=r"grey\.mp4: nothing to recognise emotions from .*no face in 2 frames"):
        mme2e.load(run).predict(media / "grey.mp4")


def test_a_stretch_and_a_region(run: Path, media: Path, portrait: np.ndarray) -> None:
    recognizer = mme2e.load(run)
    stretch = recognizer.predict(media / "face.mp4", start_s=0.5, end_s=1.6)
    assert (stretch.start_s, stretch.end_s, stretch.frames) == (0.5, 1.6, 3)
    corner = Region(x_px=0, y_px=200, width_px=60, height_px=60)
    with pytest.raises(UserError, match="no face in 4 frames"):
        recognizer.predict(media / "face.mp4", region=corner)
    with pytest.raises(MediaError, match=r"does not fit|outside|larger"):
        recognizer.predict(media / "face.mp4", region=Region(x_px=0, y_px=0, width_px=900, height_px=10))


@pytest.mark.parametrize(("start_s", "end_s"), [(-1.0, None), (2.0, 1.0), (1.0, 1.0)])
def test_no_stretch_of_time(run: Path, media: Path, start_s: float, end_s: float | None) -> None:
    with pytest.raises(UserError, match="not a stretch of time"):
        mme2e.load(run).predict(media / "face.mp4", start_s=start_s, end_s=end_s)


def test_decisions_follow_thresholds(tmp_path: Path, media: Path) -> None:
    low = mme2e.load(write_run(tmp_path / "low", thresholds=(0.0, 0.0, 0.0))).predict(media / "tone.wav")
    high = mme2e.load(write_run(tmp_path / "high", thresholds=(1.0, 1.0, 1.0))).predict(media / "tone.wav")
    assert low.decided == LABELS
    assert high.decided == ()
    assert low.top.name == high.top.name


def test_a_run_trained_with_cross_entropy_decides_for_one(tmp_path: Path, media: Path) -> None:
    result = mme2e.load(write_run(tmp_path / "ce", loss="ce")).predict(media / "tone.wav")
    assert sum(emotion.probability for emotion in result.emotions) == pytest.approx(1.0)
    assert result.decided == (result.top.name,)


def test_a_modality_that_the_model_does_not_use(tmp_path: Path, media: Path) -> None:
    result = mme2e.load(write_run(tmp_path / "a", modalities="a")).predict(media / "tone.wav", transcript="words")
    assert result.missing == dict.fromkeys(("visual", "text"), "the model was trained without it")


def test_a_file_that_cannot_be_read(run: Path, media: Path, tmp_path: Path) -> None:
    for name in (media / "empty.mp4", tmp_path / "nowhere.mp4"):
        with pytest.raises(MediaError, match=name.name):
            mme2e.load(run).predict(name)


def test_from_the_command_line(run: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.txt"
    words.write_text("what a day\n", encoding="utf-8")
    out = tmp_path / "result.json"
    assert (
        main(["predict", str(media / "face.mp4"), "--run", str(run), "--transcript", str(words), "--out", str(out)])
        == 0
    )
    printed = capsys.readouterr().out
    assert "without acoustic: face.mp4: the file has no audio" in printed
    written = json.loads(out.read_text(encoding="utf-8"))
    (segment,) = written["segments"]
    assert [emotion["name"] for emotion in segment["emotions"]] == list(LABELS)
    assert segment["used"] == ["text", "visual"]
    assert segment["kind"] == "whole"
    assert segment["text"] == "what a day"


def test_a_mistake_on_the_command_line(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(media / "face.mp4"), "--run", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["", "1,2,3", "a,b,c,d", "-1,0,5,5", "0,0,0,5"])
def test_no_region(given: str) -> None:
    with pytest.raises(UserError, match="region"):
        parse_region(given)


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="cannot be used here"):
        resolve_device("nonsense")


@pytest.mark.parametrize(("clip", "expected"), [("single_face.mp4", 0.95), ("WolfgangLanger_Pexels.mp4", 0.95)])
def test_faces_of_real_people_are_found(run: Path, shared, clip: str, expected: float) -> None:  # type: ignore[no-untyped-def]
    result = mme2e.load(run).predict(shared(f"media/{clip}"))
    assert result.frames_with_face / result.frames >= expected


def test_no_face_is_found_where_none_is(run: Path, shared) -> None:  # type: ignore[no-untyped-def]
    result = mme2e.load(run).predict(shared("media/no_face.mp4"), transcript="what a day")
    assert result.frames_with_face == 0
    assert "visual" in result.missing


def test_a_result_is_not_written_where_it_cannot_be(run: Path, media: Path, tmp_path: Path) -> None:
    result = mme2e.load(run).predict(media / "tone.wav")
    with pytest.raises(UserError, match="is a folder"):
        result.write_json(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        result.write_json(tmp_path / "nowhere" / "result.json")
    assert list(tmp_path.iterdir()) == []


def test_a_stretch_after_the_end_of_the_recording(run: Path, media: Path) -> None:
    recognizer = mme2e.load(run)
    for end_s in (None, 12.0):
        with pytest.raises(UserError, match=r"^face\.mp4 ends at 2\.0 s, before the start of the stretch at 9 s$"):
            recognizer.predict(media / "face.mp4", transcript="what a day", start_s=9.0, end_s=end_s)
    with pytest.raises(UserError, match=r"^tone\.wav ends at 1\.0 s, before"):
        recognizer.predict(media / "tone.wav", transcript="what a day", start_s=1.5)
    assert recognizer.predict(media / "face.mp4", start_s=1.5, end_s=99.0).end_s == pytest.approx(2.0, abs=0.01)


def test_a_transcript_that_is_cut_gets_a_note(run: Path, media: Path) -> None:
    recognizer = mme2e.load(run)
    assert recognizer.predict(media / "tone.wav", transcript="day " * 98).notes == ()
    cut = recognizer.predict(media / "tone.wav", transcript="day " * 150)
    assert cut.notes == ("text incomplete: 100 of the transcript's 152 tokens were kept",)
    kept = recognizer.predict(media / "tone.wav", transcript="day " * 98)
    assert cut.emotions == kept.emotions


def test_a_model_that_requires_text_refuses_to_do_without(tmp_path: Path, media: Path) -> None:
    mesm = write_tiny_run(tmp_path / "mesm", model=replace(TINY_MODEL, name="mesm"), label_names=LABELS)
    recognizer = mme2e.load(mesm)
    for transcript in (None, " "):
        with pytest.raises(UserError, match="mesm selects what it computes by the transcript, and there is none"):
            recognizer.predict(tmp_path / "nowhere.mp4", transcript=transcript)
    assert recognizer.predict(media / "tone.wav", transcript="what a day").used == ("text", "acoustic")


def test_a_file_is_opened_once(run: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = DecoderProcess._ask

    def counting(self: DecoderProcess, paths: list[Path], request: dict[str, object], *rest: object) -> object:
        asked.extend((path.name, request["call"]) for path in paths)
        return whole(self, paths, request, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(DecoderProcess, "_ask", counting)
    mme2e.load(run).predict(media / "face.mp4")
    assert asked == [("face.mp4", "read_recording")]


def test_a_file_that_kills_the_decoder(
    run: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killing_decoder.die_of(monkeypatch, tmp_path, "face", "video")
    assert main(["predict", str(media / "face.mp4"), "--run", str(run), "--transcript", "what a day"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("face.mp4: decoding it ended the decoder process (SIGSEGV)")
    assert mme2e.load(run).predict(media / "tone.wav").used == ("acoustic",)


@pytest.mark.parametrize(("name", "frames"), [("flv_tells_1s.flv", 7), ("live_v.webm", 6), ("starts_at_5.mkv", 6)])
def test_prediction_and_preparation_agree_where_a_recording_ends(
    run: Path,
    tmp_path: Path,
    shared,  # type: ignore[no-untyped-def]
    name: str,
    frames: int,
) -> None:
    path = shared(f"inputs/{name}")
    result = mme2e.load(run).predict(path, transcript="what a day")
    (tmp_path / "clips.csv").write_text(f"video,text,labels,split\n{path},what a day,hap,train\n")
    mme2e.prepare("manifest", tmp_path / "clips.csv", tmp_path / "corpus")
    row = load_corpus(tmp_path / "corpus").split("train")[0]
    assert (result.frames, len(row["face_crops"])) == (frames, frames)
    assert result.end_s == row["end_s"] == pytest.approx(3.0, abs=0.04)


def test_tracks_are_chosen(run: Path, shared) -> None:  # type: ignore[no-untyped-def]
    recognizer = mme2e.load(run)
    path = shared("inputs/two_audio.mp4")
    taken = recognizer.perceive(path)
    assert any("2 audio tracks, of which number 1 (from 0) was taken" in str(note) for note in taken.notes)
    np.testing.assert_array_equal(recognizer.perceive(path, audio_track=1).samples, taken.samples)
    assert not recognizer.perceive(path, audio_track=0).samples.any()
    with pytest.raises(MediaError, match="no audio track 2: it has 2"):
        recognizer.perceive(path, audio_track=2)
    with pytest.raises(MediaError, match="no video track 1: it has 1"):
        recognizer.perceive(path, video_track=1)


def test_a_manifest_chooses_tracks(tmp_path: Path, shared) -> None:  # type: ignore[no-untyped-def]
    path = shared("inputs/two_audio.mp4")
    table = f"video,audio_track,labels,split\n{path},0,hap,train\n{path},1,hap,train\n{path},7,hap,train\n"
    (tmp_path / "clips.csv").write_text(table)
    summary = mme2e.prepare("manifest", tmp_path / "clips.csv", tmp_path / "corpus")
    rows = load_corpus(tmp_path / "corpus").split("train")
    first, second = (decode_flac(rows[i]["audio"]) for i in (0, 1))
    assert not first.any()
    assert second.any()
    assert (rows[2]["audio"], len(rows[2]["face_crops"])) == (None, len(rows[0]["face_crops"]))
    assert [item.reason for item in summary.skipped if "track 7" in item.reason] == [
        "audio missing: two_audio.mp4 has no audio track 7: it has 2, counted from 0"
    ]
    assert not summary.complete


def test_a_run_in_the_place_of_the_recording_is_named(
    run: Path, media: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words in ([str(run)], [str(run), str(media / "face.mp4")]):
        assert main(["predict", *words]) == 2
        assert f"is a run folder, not a recording: mme2e predict RECORDING --run {run}" in capsys.readouterr().err
    assert main(["predict", str(tmp_path)]) == 2
    assert f"{tmp_path} holds no recording: expected are files" in capsys.readouterr().err


def write_choosing_run(folder: Path, **info: object) -> Path:
    return write_tiny_run(folder, loss="ce", **info)


def test_a_temperature_of_the_modalities_that_were_used(media: Path, tmp_path: Path) -> None:
    plain = mme2e.load(write_choosing_run(tmp_path / "plain"))
    confidence = Confidence(temperatures={"tav": 4.0, "tv": 4.0, "av": 0.5})  # the video has no audio
    other = mme2e.load(write_choosing_run(tmp_path / "other", confidence=confidence))
    logits = torch.tensor([2.0, 1.0, -1.0])
    for used, temperature in ((MODALITIES, 4.0), (("visual", "acoustic"), 0.5), (("text",), 1.0)):
        expected = (logits / temperature).softmax(dim=0).tolist()
        assert [e.probability for e in other.decide(logits, used)] == pytest.approx(expected)
    assert [e.probability for e in plain.decide(logits)] == pytest.approx(logits.softmax(dim=0).tolist())
    decided = other.predict(media / "face.mp4", transcript="what a day")
    undecided = plain.predict(media / "face.mp4", transcript="what a day")
    assert decided.top.name == undecided.top.name
    assert decided.top.probability < undecided.top.probability


def test_below_the_level_it_abstains(media: Path, tmp_path: Path) -> None:
    run = write_choosing_run(tmp_path / "run", confidence=Confidence(abstain_below=1.0))
    unsure = mme2e.load(run).predict(media / "face.mp4", transcript="what a day")
    assert unsure.uncertain
    assert unsure.decided == ()
    assert any("uncertain" in str(part) for part in unsure.report())
    sure = mme2e.load(run, abstain_below=0.0).predict(media / "face.mp4", transcript="what a day")
    assert not sure.uncertain
    assert sure.decided == (sure.top.name,)
    assert [e.probability for e in sure.emotions] == [e.probability for e in unsure.emotions]


@pytest.mark.parametrize("level", [-0.1, 1.5])
def test_a_level_that_is_no_probability(level: float, media: Path) -> None:
    with pytest.raises(UserError, match=r"abstain must be a probability in \[0, 1\]"):
        mme2e.predict(media / "face.mp4", abstain=level)


def test_the_answer_names_its_model(run: Path, media: Path) -> None:
    result = mme2e.load(run).predict(media / "face.mp4", transcript="what a day")
    assert str(run) in result.model
    assert "fe2e of 'tav': ang, hap, neu" in result.model


def test_audio_is_normalised_over_what_is_around_a_stretch(portrait: np.ndarray, tmp_path: Path) -> None:
    audio = AudioInputSettings(scale="log", normalise="recording")
    recognizer = mme2e.load(write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, audio=audio)))
    tone = (3000 * np.sin(np.arange(32000) / 10) * np.linspace(0, 1, 32000)).astype(np.int16)
    recording = write_sound(tmp_path / "rising.wav", tone[None], 16000)
    whole = recognizer.perceive(recording)
    part = recognizer.perceive(recording, start_s=0.5, end_s=1.0)
    assert whole.surroundings is None
    assert part.surroundings is not None
    assert part.surroundings == tuple(statistics_of(tone))
    context = recognizer.infer(part, "what a day").batch.audio_context
    own, around = (BandStatistics.unpacked([each]) for each in (statistics_of(part.samples), part.surroundings))
    torch.testing.assert_close(context, own.context_of(around))

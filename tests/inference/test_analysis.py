"""A recording of any length to its timeline."""

from dataclasses import replace
from pathlib import Path

import killing_decoder
import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video
from talking import portrait, speech, two_faces, write_subtitles, write_talk
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.config import AnalysisSettings, AudioInputSettings
from mme2e.errors import MediaError, UserError
from mme2e.inference.analyse import Request, analyse
from mme2e.inference.analysis import Analysis
from mme2e.inference.recognizer import Recognizer
from mme2e.inference.result import Emotion
from mme2e.inference.smoothing import smoothed
from mme2e.inference.timeline import Segment, Timeline, read_timeline
from mme2e.media.recording import Interval
from mme2e.records import from_plain, plain
from mme2e.transcripts.cues import Cue, Transcript, Turn
from mme2e.transcripts.read import read_transcript_file

WINDOWS = AnalysisSettings(segments="window", window_s=2.0, hop_s=1.0)
CUES = ((0.5, 2.0, "What a lovely day."), (2.2, 4.0, "It is gloomy."), (6.0, 9.0, "I am furious!"))
OVERLAPPING = (*CUES, (6.5, 7.5, "Furious?"), (8.5, 10.0, "Yes."))


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory) -> Recognizer:
    return mme2e.load(write_tiny_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_talk(folder / "talk.mp4", 12.0, [(1.0, 4.0), (7.0, 10.0)])
    write_talk(folder / "mute.mp4", 5.0, image=grey_image(90, 120, 160))
    write_sound(folder / "call.wav", speech(6.0, [(1.0, 4.0)])[None])
    return folder


@pytest.fixture(scope="module")
def words(media):
    return read_transcript_file(write_subtitles(media / "words.srt", *CUES))


def groups(analysis: Analysis) -> list[tuple[Segment, ...]]:
    return list(analysis.run())


def probabilities(segment: Segment) -> list[float]:
    return [emotion.probability for emotion in segment.emotions]


def test_where_speech_begins_and_ends(recognizer, media):
    timeline = recognizer.analyze(media / "talk.mp4")
    assert {"speech", "no speech"} == {segment.kind for segment in timeline.segments}
    assert timeline.segments[0].start_s <= 1.0
    assert timeline.segments[-1].end_s == pytest.approx(12.0, abs=0.15)
    assert timeline.duration_s == pytest.approx(12.0, abs=0.15)
    for segment in timeline.segments:
        assert segment.emotions
        assert (segment.person, segment.chosen_by) == ("person 1", "only")
        assert ("acoustic" in segment.used) == (segment.kind == "speech")
        assert ("no words" in segment.flags) == (segment.kind == "speech")
        assert ("no speech" in segment.flags) == (segment.kind != "speech")
        assert "text" in segment.missing
    (person,) = timeline.people
    assert person.visible_s == pytest.approx(12.0, abs=0.6)
    spoken_s = sum(segment.end_s - segment.start_s for segment in timeline.segments if segment.kind == "speech")
    assert person.speaking_s == pytest.approx(spoken_s, abs=0.01)
    assert person.thumbnail
    assert timeline.complete


def test_sentences_have_their_times_and_words(recognizer, media, words):
    timeline = analyse(recognizer, media / "talk.mp4", Request(transcript=words))
    spoken = [segment for segment in timeline.segments if segment.kind == "speech"]
    assert [(each.start_s, each.end_s, each.text) for each in spoken] == list(CUES)
    assert all(each.used == ("text", "acoustic", "visual") for each in spoken)
    assert timeline.words_from == "words.srt"
    assert [each.text for each in timeline.segments if each.kind == "no speech"] == [None, None]


def test_windows(recognizer, media, words):
    timeline = analyse(recognizer, media / "talk.mp4", Request(settings=WINDOWS, transcript=words))
    assert [segment.start_s for segment in timeline.segments][:11] == [float(n) for n in range(11)]
    assert {segment.kind for segment in timeline.segments} == {"window"}
    assert "What a lovely" in timeline.segments[0].text
    assert timeline.segments[4].text is None


@pytest.mark.parametrize("number", [0, 3, 7])
def test_a_window_is_answered_as_its_stretch_alone(recognizer, media, number):
    settings = replace(WINDOWS, people=False)
    segment = recognizer.analyze(media / "talk.mp4", settings).segments[number]
    alone = recognizer.predict(media / "talk.mp4", start_s=segment.start_s, end_s=segment.end_s)
    assert segment.used == alone.used
    assert (segment.frames, segment.frames_with_face) == (alone.frames, alone.frames_with_face)
    assert probabilities(segment) == pytest.approx([each.probability for each in alone.emotions], abs=1e-4)


def test_a_stretch(recognizer, media, words):
    request = Request(transcript=words, interval=Interval(start_s=1.0, end_s=7.0))
    timeline = analyse(recognizer, media / "talk.mp4", request)
    assert [(segment.start_s, segment.end_s) for segment in timeline.segments] == [
        (1.0, 2.0),
        (2.2, 4.0),
        (4.0, 6.0),
        (6.0, 7.0),
    ]
    assert not any("another recording" in note for note in timeline.notes)


def test_a_stretch_after_the_end(recognizer, media):
    with pytest.raises(UserError, match=r"talk\.mp4"):
        recognizer.analyze(media / "talk.mp4", start_s=50.0)


@pytest.mark.parametrize("settings", [AnalysisSettings(), WINDOWS], ids=["sentences", "windows"])
def test_an_analysis_goes_on_wherever_it_was_interrupted(media, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("mme2e.inference.analysis.GROUP", 1)
    words = read_transcript_file(write_subtitles(tmp_path / "words.srt", *OVERLAPPING))
    audio = AudioInputSettings(scale="log", normalise="recording")
    recognizer = mme2e.load(write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, audio=audio)))

    def begun(**more: object) -> Analysis:
        return Analysis(recognizer, media / "talk.mp4", settings, transcript=words, **more)

    whole, kept = begun(), []
    for _ in whole.run():
        kept.append(plain(whole.news()))
    expected = whole.timeline()
    assert len(kept) >= 2
    for count in (1, 4, 5, 6, len(kept)):
        progress = None
        for each in kept[:count]:
            news = from_plain(mme2e.inference.request.Progress, each)
            progress = news if progress is None else progress + news
        again = begun(progress=progress)
        groups(again)
        found = again.timeline()
        assert [(s.start_s, s.end_s, s.text, s.person) for s in found.segments] == [
            (s.start_s, s.end_s, s.text, s.person) for s in expected.segments
        ]
        for ours, theirs in zip(found.segments, expected.segments, strict=True):
            assert probabilities(ours) == pytest.approx(probabilities(theirs), abs=1e-4)
        assert found.people[0].visible_s == pytest.approx(expected.people[0].visible_s, abs=0.01)
        assert found.people[0].speaking_s == pytest.approx(expected.people[0].speaking_s, abs=0.01)
        assert found.duration_s == expected.duration_s


def test_the_first_answer_comes_alone_and_at_once(recognizer, media):
    analysis = Analysis(recognizer, media / "talk.mp4", WINDOWS)
    assert [len(group) for group in analysis.run()] == [1, 8, 3]


def test_the_timeline_so_far_says_so(recognizer, media):
    analysis = Analysis(recognizer, media / "talk.mp4", WINDOWS)
    run = analysis.run()
    next(run)
    run.close()
    timeline = analysis.timeline()
    assert len(timeline.segments) == 1
    assert not timeline.complete


def test_every_visible_person_has_a_timeline(recognizer, tmp_path):
    path = write_talk(tmp_path / "two.mp4", 4.0, [(0.0, 4.0)], image=two_faces())
    settings = AnalysisSettings(segments="window", window_s=2.0, hop_s=2.0, per_person=True)
    timeline = recognizer.analyze(path, settings)
    by_person = {person.id: [s for s in timeline.segments if s.person == person.id] for person in timeline.people}
    assert [len(segments) for segments in by_person.values()] == [2, 2]
    asked = [segment for segment in timeline.segments if segment.chosen_by == "asked"]
    assert len(asked) == 2
    for segment in asked:
        assert segment.used == ("visual",)
        assert segment.missing["acoustic"] == "somebody else speaks"
        assert segment.text is None
    alone = recognizer.analyze(path, replace(settings, per_person=False))
    assert len(alone.segments) == 2
    nobody = recognizer.analyze(path, replace(settings, people=False))
    assert [person.id for person in nobody.people] == ["person 1"]


def test_turns_name_who_speaks(recognizer, media):
    turns = (Turn(start_s=0.0, end_s=5.0, speaker="Ann"), Turn(start_s=5.0, end_s=20.0, speaker="Bob"))
    timeline = analyse(recognizer, media / "talk.mp4", Request(settings=WINDOWS, turns=turns))
    assert [segment.speaker for segment in timeline.segments][:3] == ["Ann", "Ann", "Ann"]
    assert timeline.segments[-1].speaker == "Bob"


def test_smoothing_keeps_what_is_raw(recognizer, media):
    raw = recognizer.analyze(media / "talk.mp4", WINDOWS)
    smooth = recognizer.analyze(media / "talk.mp4", replace(WINDOWS, smooth=3))
    assert [s.emotions for s in smooth.segments] == [s.emotions for s in raw.segments]
    assert all(segment.smoothed is None for segment in raw.segments)
    expected = np.mean([probabilities(segment) for segment in raw.segments[1:4]], axis=0)
    assert smooth.segments[2].smoothed == pytest.approx(expected, abs=1e-5)


def test_persons_are_smoothed_apart_and_no_answer_stays_none():
    def segment(person: str, probability: float | None) -> Segment:
        emotions = (
            ()
            if probability is None
            else (Emotion(name="happy", probability=probability, present=True, threshold=None),)
        )
        return Segment(start_s=0.0, end_s=1.0, kind="speech", person=person, emotions=emotions)

    found = smoothed([segment("a", 0.0), segment("b", 1.0), segment("a", None), segment("a", 0.5)], 3)
    assert [each.smoothed for each in found] == [(0.25,), (1.0,), None, (0.25,)]


def test_nothing_to_go_by(recognizer, media):
    with pytest.raises(UserError, match=r"mute\.mp4: nothing to recognise emotions from \(.*no face in"):
        recognizer.analyze(media / "mute.mp4")


def test_sound_alone(recognizer, media):
    timeline = recognizer.analyze(media / "call.wav")
    assert {segment.kind for segment in timeline.segments if segment.emotions} == {"speech"}
    assert timeline.people == ()
    assert "video: the file has no video" in timeline.notes


def test_a_video_without_audio_still_has_faces(recognizer, tmp_path):
    path = write_video(tmp_path / "face.mp4", [portrait()] * 50)
    timeline = recognizer.analyze(path)
    assert {segment.used for segment in timeline.segments} == {("visual",)}
    assert not any("silence" in segment.flags for segment in timeline.segments)  # of audio that there is
    assert "audio: the file has no audio" in timeline.notes


def test_audio_that_ends_early_and_video_that_ends_early(recognizer, tmp_path):
    longer = write_talk(tmp_path / "longer.mkv", 4.0, [(0.5, 7.0)], sound_s=8.0)
    timeline = recognizer.analyze(longer, WINDOWS)
    assert timeline.segments[-1].end_s == pytest.approx(8.0, abs=0.1)
    assert timeline.segments[-1].missing["visual"] == "the video has ended"
    shorter = write_talk(tmp_path / "shorter.mp4", 8.0, [(0.5, 3.0)], sound_s=4.0)
    timeline = recognizer.analyze(shorter, WINDOWS)
    assert timeline.segments[-1].end_s == pytest.approx(8.0, abs=0.1)
    assert "acoustic" in timeline.segments[-1].missing


def test_a_decoder_that_dies_of_the_video_leaves_the_audio(tmp_path, monkeypatch):
    path = write_talk(tmp_path / "fatal.mp4", 5.0, [(0.5, 4.0)])
    killing_decoder.die_of(monkeypatch, tmp_path, "fatal", "video")
    recognizer = mme2e.load(write_tiny_run(tmp_path / "run"))
    timeline = recognizer.analyze(path, WINDOWS)
    assert {segment.used for segment in timeline.segments} == {("acoustic",)}
    assert any("ended the decoder process (SIGSEGV)" in note for note in timeline.notes)


def test_a_damaged_recording_is_analysed_as_far_as_it_can_be_read(recognizer, tmp_path):
    random = np.random.default_rng(0)
    whole = write_video(
        tmp_path / "whole.avi",
        [portrait() // 2 + random.integers(0, 60, portrait().shape, dtype=np.uint8) for _ in range(80)],
    )
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    timeline = recognizer.analyze(cut)
    assert 3.0 < timeline.duration_s < 7.0
    assert any("damage" in note for note in timeline.notes)


def test_files_that_are_none(recognizer, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("empty.mp4", "nowhere.mp4"):
        with pytest.raises(MediaError, match=name):
            recognizer.analyze(tmp_path / name)


def test_subtitles_beside_the_recording_are_read(recognizer, media, tmp_path):
    video = tmp_path / "talk.mp4"
    video.write_bytes((media / "talk.mp4").read_bytes())
    write_subtitles(tmp_path / "talk.srt", *CUES)
    assert recognizer.analyze(video).words_from == "talk.srt"
    assert analyse(recognizer, video, Request(look_for_words=False)).words_from == ""


def test_subtitles_of_another_recording_are_noticed(recognizer, media, tmp_path):
    words = write_subtitles(tmp_path / "long.srt", (1.0, 3.0, "Hello."), (100.0, 104.0, "Much later."))
    timeline = recognizer.analyze(media / "talk.mp4", transcript=str(words))
    assert any("is it of another recording?" in note for note in timeline.notes)


def test_words_without_times_make_one_utterance(recognizer, media):
    timeline = recognizer.analyze(media / "talk.mp4", transcript="what a lovely day")
    (segment,) = timeline.segments
    assert (segment.kind, segment.text) == ("whole", "what a lovely day")
    alone = recognizer.predict(media / "talk.mp4", transcript="what a lovely day")
    assert segment.emotions == alone.emotions
    with pytest.raises(UserError, match="has no times"):
        recognizer.analyze(media / "talk.mp4", WINDOWS, transcript="what a lovely day")


def test_each_channel_is_one_speaker(recognizer, tmp_path):
    sound = np.stack([speech(8.0, [(0.5, 3.0)]), speech(8.0, [(4.5, 7.5)])])
    call = write_sound(tmp_path / "call.wav", sound)
    timeline = analyse(recognizer, call, Request(channel_per_speaker=True))
    spoken = [(segment.speaker, segment.start_s) for segment in timeline.segments if segment.kind == "speech"]
    assert sorted({name for name, _ in spoken}) == ["channel 0", "channel 1"]
    assert all((start_s < 3.2) == (name == "channel 0") for name, start_s in spoken)


def write_call(path: Path, *spoken: list[tuple[float, float]]) -> Path:
    return write_sound(path, np.stack([speech(8.0, stretches) for stretches in spoken]))


def test_words_that_nobody_is_named_for_are_of_the_channel_that_speaks(recognizer, tmp_path):
    call = write_call(tmp_path / "call.wav", [(0.5, 3.0)], [(4.5, 7.5)])
    words = read_transcript_file(
        write_subtitles(tmp_path / "w.srt", (0.5, 3.0, "Good day."), (4.5, 7.5, "And to you."))
    )
    timeline = analyse(recognizer, call, Request(channel_per_speaker=True, transcript=words))
    said: dict[str, list[str]] = {"channel 0": [], "channel 1": []}
    for segment in timeline.segments:
        said[segment.speaker] += [segment.text] if segment.text else []
    assert {name: " ".join(texts) for name, texts in said.items()} == {
        "channel 0": "Good day.",
        "channel 1": "And to you.",
    }


def test_names_that_no_channel_has_are_refused(recognizer, tmp_path):
    call = write_call(tmp_path / "call.wav", [(0.5, 3.0)], [(4.5, 7.5)])
    words = Transcript(cues=(Cue(start_s=0.5, end_s=3.0, text="Hello.", speaker="Ann"),), source="talk.vtt")
    with pytest.raises(UserError, match=r"talk.vtt names Ann, and the channels are called channel 0, channel 1"):
        analyse(recognizer, call, Request(channel_per_speaker=True, transcript=words))


def test_a_caller_who_says_nothing_does_not_cost_the_other(recognizer, tmp_path):
    call = write_call(tmp_path / "call.wav", [(0.5, 3.0)], [])
    timeline = analyse(recognizer, call, Request(channel_per_speaker=True))
    assert {segment.speaker for segment in timeline.segments if segment.emotions} == {"channel 0"}


def test_one_stretch_has_the_words_that_are_said_in_it(recognizer, media, words):
    whole = AnalysisSettings(segments="whole")
    request = Request(settings=whole, interval=Interval(start_s=2.1, end_s=5.0), transcript=words)
    assert analyse(recognizer, media / "talk.mp4", request).segments[0].text == "It is gloomy."


def test_a_subtitle_track_of_images_is_no_transcript(recognizer, media, monkeypatch):
    empty = Transcript(cues=(), source="subtitle track", remarks=("its subtitles are images",))
    monkeypatch.setattr("mme2e.inference.analyse.embedded_transcript", lambda *_: empty)
    timeline = recognizer.analyze(media / "talk.mp4")
    assert {segment.kind for segment in timeline.segments} == {"speech", "no speech"}


def test_one_channel_is_no_call(recognizer, media):
    with pytest.raises(UserError, match="has 1 audio channels"):
        analyse(recognizer, media / "call.wav", Request(channel_per_speaker=True))


def test_its_file_is_read_again(recognizer, media, tmp_path):
    timeline = recognizer.analyze(media / "talk.mp4", replace(WINDOWS, smooth=3, evidence=True))
    (tmp_path / "talk.json").write_text(timeline.to_json(), encoding="utf-8")
    found: Timeline = read_timeline(tmp_path / "talk.json")
    assert found == timeline
    assert all(segment.evidence is not None for segment in found.segments)

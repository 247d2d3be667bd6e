from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mme2e.errors import MediaError
from mme2e.media.decoder import DecoderProcess
from mme2e.media.subtitles import SubtitleLine, Subtitles, read_subtitles
from mme2e.transcripts.cues import Cue
from mme2e.transcripts.embedded import embedded_transcript

LINES = [(0.2, 0.5, "Hello <i>there</i>"), (0.9, 0.8, "caf\u00e9 &amp; tea?")]


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess() as process:
        yield process


def write(path, codecs, *, lines=LINES, start_s=0.0, default=None):
    """A video with subtitle tracks: packets as the codec has them, for PyAV encodes none."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("vp8" if path.suffix == ".webm" else "mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream(codec) for codec in codecs]
        for number, track in enumerate(tracks):
            track.time_base = Fraction(1, 1000)
            track.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n[Events]\n"
            if number == default:
                track.disposition = av.stream.Disposition.default
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8))
            frame.pts, frame.time_base = round(25 * start_s) + number, Fraction(1, 25)
            container.mux(video.encode(frame))
        for number, (codec, track) in enumerate(zip(codecs, tracks, strict=True)):
            for place, (begin_s, length_s, text) in enumerate(lines):
                data = (text if number == 0 else f"{text} ({number})").encode()
                if codec == "mov_text":
                    data = len(data).to_bytes(2, "big") + data
                if codec == "ass":
                    data = f"{place},0,Default,Anna,0,0,0,,".encode() + data
                packet = av.Packet(data)
                packet.pts = packet.dts = round(1000 * (start_s + begin_s))
                packet.duration, packet.time_base, packet.stream = round(1000 * length_s), Fraction(1, 1000), track
                container.mux(packet)
        container.mux(video.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "subrip"), ("a.mp4", "mov_text"), ("a.mkv", "ass"), ("a.webm", "webvtt")]
)
def test_a_subtitle_track_is_a_transcript(tmp_path, decoder, name, codec):
    transcript = embedded_transcript(write(tmp_path / name, [codec]), decoder)
    speaker = "Anna" if codec == "ass" else ""
    assert transcript.cues == (
        Cue(start_s=pytest.approx(0.2), end_s=pytest.approx(0.7), text="Hello there", speaker=speaker),
        Cue(start_s=pytest.approx(0.9), end_s=pytest.approx(1.7), text="café & tea?", speaker=speaker),
    )
    assert (transcript.source, transcript.remarks) == ("subtitle track", ())


def test_times_count_from_the_start_of_the_recording(tmp_path):
    lines = read_subtitles(write(tmp_path / "a.mkv", ["subrip"], start_s=10.0)).lines
    assert [line.start_s for line in lines] == [pytest.approx(0.2), pytest.approx(0.9)]


def test_which_track_is_read(tmp_path, decoder):
    path = write(tmp_path / "a.mkv", ["subrip", "ass"], default=1)
    assert read_subtitles(path).lines[0].text == "Hello <i>there</i> (1)"
    assert read_subtitles(path).remarks == ("subtitle track 1 of 2 is read",)
    assert decoder.read_subtitles(path) == read_subtitles(path)
    assert embedded_transcript(path, decoder, 0).cues[0].text == "Hello there"
    assert read_subtitles(path, 2) == Subtitles(remarks=("there is no subtitle track 2; it has 2",))


def test_images_are_no_text(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mkv", ["subrip"])
    monkeypatch.setattr("mme2e.media.subtitles._has_text", lambda stream: False)
    assert read_subtitles(path) == Subtitles(remarks=("its subtitles are images, not text",))
    assert read_subtitles(path, 0) == Subtitles(remarks=("subtitle track 0 consists of images, not text",))
    here = SimpleNamespace(read_subtitles=read_subtitles)
    transcript = embedded_transcript(path, here)
    assert (transcript.cues, transcript.remarks) == ((), ("its subtitles are images, not text",))


def test_recordings_without_subtitles_and_files_that_are_none(tmp_path, decoder):
    assert embedded_transcript(write(tmp_path / "a.mkv", []), decoder) is None
    (tmp_path / "b.mkv").write_text("no video at all\n" * 50)
    with pytest.raises(MediaError, match=r"b\.mkv cannot be read"):
        embedded_transcript(tmp_path / "b.mkv", decoder)


def test_a_length_that_is_not_known_ends_with_the_next_subtitle(tmp_path):
    lines = [(0.2, 0, "one"), (0.9, 0, "two")]
    found = read_subtitles(write(tmp_path / "a.mkv", ["subrip"], lines=lines)).lines
    assert found == (
        SubtitleLine(start_s=pytest.approx(0.2), end_s=pytest.approx(0.9), speaker="", text="one"),
        SubtitleLine(start_s=pytest.approx(0.9), end_s=pytest.approx(5.9), speaker="", text="two"),
    )


def test_more_lines_than_a_message_holds(tmp_path, decoder):
    lines = [(number / 100, 0.01, f"line {number}") for number in range(150)]
    path = write(tmp_path / "a.mkv", ["subrip"], lines=lines)
    assert [cue.text for cue in embedded_transcript(path, decoder).cues] == [text for _, _, text in lines]

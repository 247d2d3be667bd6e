"""Files that went wrong once (../shared/inputs), their neighbours, and the right values."""

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video

from mme2e.errors import MediaError
from mme2e.media import recording, resampling
from mme2e.media.audio import read_audio
from mme2e.media.notes import Damage
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings, read_recording
from mme2e.media.region import Region
from mme2e.media.video import Frame, probe, read_frames, sample_frames


def read(path, *intervals, **settings):
    """Frames and interval ends of one pass; of all of the file if no interval is given."""
    events = list(read_recording(path, intervals or [Interval()], ReadSettings(**settings)))
    ends = sorted((event for event in events if isinstance(event, IntervalEnd)), key=lambda end: end.position)
    return [event for event in events if isinstance(event, Frame)], ends


def rms(samples):
    return np.sqrt(np.mean(samples.astype(float) ** 2))


def loudest_hz(samples):
    return np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples)


def tone(rate, seconds, hz):
    return (9000 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


# Channels


def test_every_channel_of_eight(shared):
    base = read_audio(shared("inputs/base.wav"))
    for channel in range(8):
        np.testing.assert_array_equal(read_audio(shared("inputs/c8.wav"), channel=channel), base)
    assert np.abs(read_audio(shared("inputs/c8.wav")).astype(int) - base).max() <= 1
    with pytest.raises(MediaError, match="no channel 8: it has 8, counted from 0"):
        read_audio(shared("inputs/c8.wav"), channel=8)


def write_wav(path, samples, *, bits=16, is_float=False, mask=None, rate=16_000):
    """(samples, channels) int16 as a WAV file; with a mask (0: unknown places) as an extensible one."""
    channels = samples.shape[1]
    if is_float:
        data = (samples / 32768).astype("<f4" if bits == 32 else "<f8").tobytes()
    elif bits == 8:
        data = ((samples >> 8) + 128).astype("u1").tobytes()
    else:
        data = (samples.astype("<i4") << (bits - 16)).reshape(-1).view("u1").reshape(-1, 4)[:, : bits // 8].tobytes()
    tag = 3 if is_float else 1
    frame_bytes = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag if mask is None else 0xFFFE, channels, rate, rate * frame_bytes, frame_bytes, bits)
    if mask is not None:
        fmt += struct.pack("<HHIH", 22, bits, mask, tag) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


@pytest.mark.parametrize("mask", [None, 0])
@pytest.mark.parametrize(
    ("bits", "is_float"), [(8, False), (16, False), (24, False), (32, False), (32, True), (64, True)]
)
def test_any_number_of_channels_in_any_sample_format(tmp_path, bits, is_float, mask):
    for channels in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 24, 64):
        samples = np.random.default_rng(channels).integers(-9000, 9000, (1700, channels)).astype(np.int16)
        path = write_wav(tmp_path / "a.wav", samples, bits=bits, is_float=is_float, mask=mask)
        heard = (samples >> 8) << 8 if bits == 8 else samples
        for channel in {0, channels // 2, channels - 1}:
            np.testing.assert_array_equal(read_audio(path, channel=channel), heard[:, channel])
        mixed = read_audio(path)
        assert len(mixed) == 1700
        if mask == 0 or channels <= 2:  # nobody knows where its channels are: all count alike
            assert np.abs(mixed - heard.mean(axis=1)).max() <= 1


@pytest.mark.parametrize(
    ("suffix", "codec", "layout", "rate"),
    [
        ("flac", "flac", "7.1", 44_100),
        ("flac", "flac", "5.1", 48_000),
        ("m4a", "aac", "7.1", 48_000),
        ("m4a", "aac", "5.1", 44_100),
        ("mka", "libopus", "7.1", 48_000),
        ("mka", "pcm_s24le", "7.1", 48_000),
        ("mka", "pcm_f32le", "hexadecagonal", 48_000),
        ("mka", "ac3", "5.1", 48_000),
    ],
)
def test_channels_of_planar_codecs(tmp_path, suffix, codec, layout, rate):
    """Each has a tone of its own; planes past the eighth have killed the process."""
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 512_000
        channels = stream.layout.nb_channels
        tones = np.stack([tone(rate, 1.0, 300 + 200 * channel) for channel in range(channels)])
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tones.T).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        fifo = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate)
        for converted in resampler.resample(frame):
            fifo.write(converted)
        while (chunk := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
            container.mux(stream.encode(chunk))
        container.mux(stream.encode(None))
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    for channel, name in enumerate(names):
        heard = read_audio(path, channel=channel)
        assert len(heard) == pytest.approx(16_000, abs=1200)
        if name != "LFE":  # codecs keep nothing but its bass
            assert loudest_hz(heard[4000:12_000]) == pytest.approx(300 + 200 * channel, abs=5)
    assert rms(read_audio(path)) > 500


def test_channels_that_cancel_are_not_mixed(shared, tmp_path):
    damage = Damage()
    np.testing.assert_array_equal(
        read_audio(shared("inputs/antiphase.wav"), damage=damage), read_audio(shared("inputs/base.wav"))
    )
    assert damage.remarks == {"channels": "its channels cancel when they are mixed: channel 0 was taken"}
    voice = tone(16_000, 1.0, 200)
    noise = np.random.default_rng(0).integers(-30, 30, 16_000)
    path = write_sound(tmp_path / "a.wav", np.stack([voice // 2, (noise - voice // 2).astype(np.int16)]))
    _, (end,) = read(path, Interval(start_s=0.25, end_s=0.75))
    assert rms(end.samples) > 3000
    assert "channels cancel" in end.audio.remarks[0]


def test_channels_that_differ_or_are_quiet_are_mixed(tmp_path):
    quiet = np.random.default_rng(0).integers(-400, 400, (2, 16_000)).astype(np.int16)
    one_sided = np.stack([tone(16_000, 1.0, 200), np.zeros(16_000, np.int16)])
    for channels in (quiet, one_sided):
        damage = Damage()
        path = write_sound(tmp_path / "a.wav", channels)
        assert np.abs(read_audio(path, damage=damage) - channels.mean(axis=0)).max() <= 1
        assert damage == Damage()


def test_silence_is_reported(tmp_path):
    for channels in (1, 2):
        path = write_sound(tmp_path / f"{channels}.wav", np.zeros((channels, 16_000), np.int16))
        damage = Damage()
        assert not read_audio(path, damage=damage).any()
        assert damage.remarks == {"silence": "the audio is silent: every sample is 0"}
        assert not damage
        _, (end,) = read(path)
        assert end.audio.remarks == ("the audio is silent: every sample is 0",)


# Formats that change, clocks that begin again


def test_a_mono_and_a_stereo_part_of_an_mp3(shared):
    samples = read_audio(shared("inputs/mixed_channels.mp3"))
    assert len(samples) / 16_000 == pytest.approx(7.0, abs=0.06)  # MP3 fills its first and last frames
    assert min(rms(samples[start : start + 8000]) for start in range(0, 104_000, 8000)) > 300


def test_chained_mono_and_stereo(shared):
    samples = read_audio(shared("inputs/chained_mono_stereo.oga"))
    assert len(samples) == 64_000
    assert min(rms(samples[start : start + 8000]) for start in range(0, 64_000, 8000)) > 1000


def test_chained_recordings_follow_each_other(shared):
    damage = Damage()
    samples = read_audio(shared("inputs/chained_tones.opus"), damage=damage)
    assert len(samples) == 64_000
    assert loudest_hz(samples[2000:30_000]) == pytest.approx(300, abs=2)
    assert loudest_hz(samples[34_000:62_000]) == pytest.approx(1200, abs=2)
    assert "the time stamps begin again" in damage.remarks["leap"]
    assert not damage


CHANGES = {
    "rate": [(16_000, 1), (44_100, 1)],
    "channels": [(16_000, 2), (16_000, 1), (16_000, 2)],
    "both": [(48_000, 1), (24_000, 2)],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("flac.ogg", "flac"), ("aac", "aac"), ("ts", "mp2")]
)
def test_rate_and_channels_change_within_a_file(tmp_path, suffix, codec, change):
    parts = []
    for number, (rate, channels) in enumerate(CHANGES[change]):
        part = write_sound(
            tmp_path / f"{number}.{suffix}",
            np.stack([tone(rate, 1.0, 400 * (number + 1))] * channels),
            rate,
            codec=codec,
        )
        parts.append(part.read_bytes())
    path = tmp_path / f"all.{suffix}"
    path.write_bytes(b"".join(parts))
    samples = read_audio(path)
    found_s = len(samples) / 16_000
    assert found_s == pytest.approx(len(parts), abs=0.15 * len(parts))
    each = len(samples) // len(parts)
    for number in range(len(parts)):
        middle = samples[each * number + each // 3 : each * (number + 1) - each // 3]
        assert loudest_hz(middle) == pytest.approx(400 * (number + 1), rel=0.02)


def test_a_mono_part_has_every_channel_and_a_stereo_part_not_more(tmp_path):
    left, right = tone(16_000, 1.0, 300), tone(16_000, 1.0, 700)
    data = write_sound(tmp_path / "1.ogg", left[None], codec="flac").read_bytes()
    data += write_sound(tmp_path / "2.ogg", np.stack([left, right]), codec="flac").read_bytes()
    path = tmp_path / "all.ogg"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_audio(path, channel=0), np.concatenate([left, left]))
    np.testing.assert_array_equal(read_audio(path, channel=1), np.concatenate([left, right]))
    with pytest.raises(MediaError, match="no channel 2: it has 2"):
        read_audio(path, channel=2)


@pytest.mark.parametrize(
    "names",
    [("flv_tells_1s.flv", "flv_tells_1s.flv"), ("chained_tones.opus", "chained_mono_stereo.oga")],
)
def test_a_part_that_ffmpeg_does_not_read_is_reported(shared, tmp_path, names):
    path = tmp_path / names[0]
    parts = [shared(f"inputs/{name}").read_bytes() for name in names]
    for data, reported in ((parts[0], False), (b"".join(parts), True)):
        path.write_bytes(data)
        _, (end,) = read(path)
        rest = any("of the file could not be read" in remark for remark in end.audio.remarks)
        assert (rest or end.audio.damage == "1 packet could not be decoded") == reported
        assert end.end_s == pytest.approx(4.0 if path.suffix == ".opus" else 3.0, abs=0.1)


# Lengths, starts and leaps


def test_lengths_come_from_what_was_decoded(shared):
    assert probe(shared("inputs/vbr_silence_first.mp3")).duration_s == pytest.approx(23.9, abs=0.1)  # a claim
    damage = Damage()
    samples = read_audio(shared("inputs/vbr_silence_first.mp3"), damage=damage)
    assert len(samples) / 16_000 == pytest.approx(13.5, abs=0.05)
    assert not damage
    _, (end,) = read(shared("inputs/vbr_silence_first.mp3"))
    assert end.end_s == end.audio.end_s == len(samples) / 16_000


@pytest.mark.parametrize(("name", "frames"), [("flv_tells_1s.flv", 7), ("live_v.webm", 6), ("starts_at_5.mkv", 6)])
def test_an_open_end_is_where_the_recording_ends(shared, name, frames):
    found, (end,) = read(shared(f"inputs/{name}"))
    assert end.frames == len(found) == frames
    assert [frame.requested_s for frame in found] == [i / 2 for i in range(frames)]
    assert end.end_s == pytest.approx(3.0, abs=0.04)
    assert (end.video.damage, end.video.missing, end.audio.damage) == ("", None, "")
    assert len(list(sample_frames(shared(f"inputs/{name}"), 500))) == frames
    if name == "live_v.webm":
        assert end.audio.missing == "the file has no audio"
    else:
        assert len(end.samples) / 16_000 == pytest.approx(3.0, abs=0.04)


def test_a_clock_that_begins_below_0(tmp_path):
    path = tmp_path / "v.mkv"
    images = [grey_image(20 * (i + 1)) for i in range(10)]
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = i - 5, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.start_time == -500_000
    found, (end,) = read(path, frame_interval_ms=200)
    assert [round(frame.image.mean()) for frame in found] == pytest.approx([20, 60, 100, 140, 180], abs=3)
    assert end.end_s == pytest.approx(1.0)


def test_a_leap_is_closed_and_reported(shared):
    frames, (end,) = read(shared("inputs/leap.ts"))
    assert end.end_s == pytest.approx(6.1, abs=0.1)
    assert len(frames) == 13
    assert len(end.samples) / 16_000 == pytest.approx(6.1, abs=0.1)
    assert any("leap ahead by 19987.0 s at 3.1 s" in remark for remark in end.video.remarks)
    assert end.video.remarks == end.audio.remarks
    # Both parts are the same recording: what was together stays together.
    first, second = end.samples[8000:40_000].astype(float), end.samples.astype(float)
    shift_s = np.correlate(second[48_000:], first, "valid").argmax() / 16_000 + 2.5
    images = {frame.requested_s: frame for frame in read_frames(shared("inputs/leap.ts"), [1.0, 1.0 + shift_s])}
    first, second = images[1.0], images[1.0 + shift_s]
    assert second.time_s - first.time_s == pytest.approx(shift_s, abs=0.05)
    assert np.abs(first.image.astype(int) - second.image).mean() < 1


def write_part(path, level, *, hz, start_s=0.0, seconds=3.0):
    """Video of one grey and audio of one tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = container.add_stream("mp2", rate=48_000, layout="mono")
        samples = tone(48_000, seconds, hz)
        for i in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(grey_image(level), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i + round(start_s * 25), Fraction(1, 25)
            container.mux(video.encode(frame))
        for start in range(0, len(samples), 1152):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1152].copy(), format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = start + round(start_s * 48_000)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("starts_s", [(0, 0), (0, 9000), (9000, 0), (95_442, 0), (0, 2)])
def test_joined_transport_streams_follow_each_other_in_step(tmp_path, starts_s):
    parts = [
        write_part(tmp_path / f"{i}.ts", (60, 180)[i], hz=(300, 1200)[i], start_s=start_s).read_bytes()
        for i, start_s in enumerate(starts_s)
    ]
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(parts))
    for intervals in ([Interval()], [Interval(end_s=2.5), Interval(start_s=3.5)]):
        frames, ends = read(path, *intervals)
        assert [round(frame.image.mean() / 60) for frame in frames if frame.requested_s < 2.6] == [1] * (
            sum(frame.requested_s < 2.6 for frame in frames)
        )
        assert {round(frame.image.mean() / 60) for frame in frames if frame.requested_s > 3.4} == {3}
        assert max(frame.requested_s for frame in frames) in (5.5, 6.0)
        for end, interval in zip(ends, intervals, strict=True):
            hz = [loudest_hz(end.samples[at : at + 8000]) for at in (4000, len(end.samples) - 12_000)]
            wanted = (300 if interval.start_s == 0 else 1200, 300 if interval.end_s else 1200)
            assert hz == pytest.approx(wanted, abs=3)
            assert end.video.remarks == end.audio.remarks != ()
        assert ends[-1].end_s == pytest.approx(6.0, abs=0.15)
    assert len(read_audio(path)) / 16_000 == pytest.approx(6.0, abs=0.15)
    assert len(list(sample_frames(path, 500))) in (12, 13)
    (late,) = read_frames(path, [5.0])
    assert round(late.image.mean() / 60) == 3


def test_a_stretch_far_into_a_file_that_cannot_seek(tmp_path, monkeypatch):
    path = write_part(tmp_path / "a.ts", 60, hz=300, seconds=40.0)
    everything, _ = read(path, audio=False)
    taken = []
    really = resampling.Resampler.push
    monkeypatch.setattr(resampling.Resampler, "push", lambda self, *args: taken.append(args) or really(self, *args))
    frames, (end,) = read(path, Interval(start_s=30.0, end_s=31.0))
    wanted = [frame for frame in everything if 30 <= frame.requested_s < 31]
    assert [(frame.requested_s, frame.time_s) for frame in frames] == [(f.requested_s, f.time_s) for f in wanted]
    assert len(end.samples) == 16_000
    assert loudest_hz(end.samples) == pytest.approx(300, abs=2)
    assert len(taken) < 110  # of 1668 audio frames
    whole = read_audio(path)
    np.testing.assert_allclose(end.samples, whole[480_000:496_000], atol=300)


def test_plain_wav_in_one_pass_is_what_ffmpeg_makes_of_it(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(-9000, 9000, (2, 80_000)).astype(np.int16)
    noise[:, 16_000:24_000] = 0
    path = write_sound(tmp_path / "a.wav", noise)
    intervals = [
        Interval(start_s=2.0, end_s=3.0, audio_channel=1),
        Interval(audio_channel=0),
        Interval(start_s=1.0, end_s=1.5, audio_channel=0),
        Interval(start_s=4.5, end_s=6.0, audio_channel=1),
        Interval(start_s=7.0, end_s=8.0, audio_channel=0),
    ]
    _, plain = read(path, *intervals)
    monkeypatch.setattr(recording, "plain_wav", lambda *_: None)
    _, other = read(path, *intervals)
    assert [len(end.samples) for end in plain] == [16_000, 80_000, 8000, 8000, 0]
    for ours, theirs in zip(plain, other, strict=True):
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert (ours.end_s, ours.frames, ours.video, ours.audio) == (
            theirs.end_s,
            theirs.frames,
            theirs.video,
            theirs.audio,
        )
    assert plain[2].audio.remarks == ("the audio is silent: every sample is 0",)
    monkeypatch.undo()
    _, ends = read(path, Interval(audio_channel=2), Interval(audio_channel=0))
    assert ends[0].audio.missing == f"{path} has no channel 2: it has 2, counted from 0"
    assert len(ends[1].samples) == 80_000


# Pictures and tracks


def test_no_frame_before_the_video_begins(shared):
    path = shared("inputs/late_video.mp4")
    frames, ends = read(path, Interval(), Interval(end_s=1.5))
    assert [frame.requested_s for frame in frames] == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
    assert [(end.frames, end.end_s) for end in ends] == [(6, 4.5), (0, 1.5)]
    assert ends[1].video.remarks == ("the video begins 1.5 s after the recording",)
    assert len(ends[1].samples) == 24_000
    assert [frame.requested_s for frame in read_frames(path, [0.0, 1.0, 1.45, 2.0])] == [1.45, 2.0]


def test_pictures_are_shown_as_a_player_shows_them(shared):
    path = shared("inputs/anamorphic.mp4")
    assert (probe(path).width_px, probe(path).height_px) == (640, 360)
    shown = next(sample_frames(path, 500)).image
    base = next(sample_frames(shared("inputs/base.mp4"), 500)).image
    assert shown.shape == base.shape == (360, 640, 3)
    assert np.abs(shown.astype(int) - base).mean() < 4
    for stored in (
        next(sample_frames(path, 500, square_pixels=False)).image,
        next(read_frames(path, [0.0], square_pixels=False)).image,
        read(path, square_pixels=False)[0][0].image,
    ):
        assert stored.shape == (360, 320, 3)
    assert probe(path, square_pixels=False).width_px == 320
    right = Region(x_px=320, y_px=0, width_px=320, height_px=360)
    (frame,), _ = read(path, Interval(end_s=0.1, region=right))
    np.testing.assert_array_equal(frame.image, shown[:, 320:])


@pytest.mark.parametrize(
    ("aspect", "rotation", "shape"),
    [
        (Fraction(1), 0, (48, 64, 3)),
        (Fraction(64, 45), 0, (48, 91, 3)),
        (Fraction(8, 9), 0, (48, 57, 3)),
        (Fraction(3, 2), 90, (96, 48, 3)),
        (Fraction(5), 0, (48, 64, 3)),
    ],
)
def test_aspect_ratios(tmp_path, aspect, rotation, shape):
    path = write_video(tmp_path / "v.mp4", [grey_image(100)] * 3, aspect=aspect, rotation=rotation)
    frames, (end,) = read(path, frame_interval_ms=100)
    assert [frame.image.shape for frame in frames] == [shape] * 3
    assert (probe(path).height_px, probe(path).width_px) == shape[:2]
    assert bool(end.video.remarks) == (aspect == 5)
    assert read(path, square_pixels=False)[0][0].image.shape == ((64, 48, 3) if rotation else (48, 64, 3))


def test_the_default_track_is_taken_and_another_can_be(shared):
    two_audio, two_video = shared("inputs/two_audio.mp4"), shared("inputs/two_video.mkv")
    damage = Damage()
    base = read_audio(shared("inputs/base.mp4"))
    assert np.corrcoef(read_audio(two_audio, damage=damage)[:40_000], base[:40_000])[0, 1] > 0.99
    assert damage.remarks["tracks"] == "2 audio tracks, of which number 1 (from 0) was taken"
    assert not read_audio(two_audio, track=0).any()
    damage = Damage()
    assert next(sample_frames(two_video, 500, damage=damage)).image.mean() > 50
    assert damage.remarks["tracks"] == "2 video tracks, of which number 1 (from 0) was taken"
    assert next(sample_frames(two_video, 500, video_track=0)).image.mean() < 5
    assert (probe(two_audio).audio_tracks, probe(two_video).video_tracks) == (2, 2)
    frames, (end,) = read(two_video, video_track=0)
    assert (frames[0].image.mean() < 5, end.video.remarks) == (True, ())
    _, (end,) = read(two_audio, audio_track=0)
    assert end.audio.remarks == ("the audio is silent: every sample is 0",)
    for settings in ({"audio_track": 2}, {"audio_track": -1}, {"video_track": 1}):
        with pytest.raises(MediaError, match=r"has no (audio|video) track -?\d: it has \d, counted from 0"):
            read(two_audio, **settings)


def test_without_a_default_the_first_track_is_taken(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for stream, hz in zip(streams, (300, 1200), strict=True):
            stream.disposition = av.stream.Disposition(0)
            frame = av.AudioFrame.from_ndarray(tone(16_000, 1.0, hz)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    assert loudest_hz(read_audio(path)) == pytest.approx(300, abs=2)
    assert loudest_hz(read_audio(path, track=1)) == pytest.approx(1200, abs=2)


# Damage of the audio


def test_a_truncated_wav_is_reported(tmp_path):
    whole = write_sound(tmp_path / "a.wav", np.random.default_rng(0).integers(-9, 9, (1, 48_000)).astype(np.int16))
    cut = tmp_path / "cut.wav"
    data = whole.read_bytes()
    cut.write_bytes(data[: data.index(b"data") + 8 + 32_000])
    damage = Damage()
    assert len(read_audio(cut, damage=damage)) == 16_000
    assert "it breaks off at 1.0 of 3.0 s" in str(damage)
    _, ends = read(cut, Interval(end_s=0.5), Interval(start_s=0.5, end_s=2.0), Interval(start_s=2.5, end_s=2.75))
    assert [len(end.samples) for end in ends] == [8000, 8000, 0]
    assert ends[0].audio.damage == ""
    assert all("it breaks off at 1.0 of 3.0 s" in end.audio.damage for end in ends[1:])
    assert [end.audio.end_s for end in ends] == [None, 1.0, 1.0]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mka", "flac"), ("flac", "flac"), ("aiff", "pcm_s16be"), ("mka", "aac")]
)
def test_damaged_audio_is_reported(tmp_path, suffix, codec):
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 160_000)).astype(np.int16)
    path = write_sound(tmp_path / f"a.{suffix}", noise, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    damage = Damage()
    assert len(read_audio(path, damage=damage)) / 16_000 == pytest.approx(5.0, abs=0.7)
    assert damage
    assert "could not be decoded" in str(damage) or "it breaks off at" in str(damage)
    if codec != "flac":
        return
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :])
    _, ends = read(path, Interval(end_s=2.0), Interval(start_s=4.0, end_s=6.0), Interval(start_s=8.0, end_s=9.0))
    assert [bool(end.audio.damage) for end in ends] == [False, True, False]


def test_undamaged_audio_has_no_damage(shared, tmp_path):
    noise = np.random.default_rng(0).integers(-9000, 9000, (1, 48_000)).astype(np.int16)
    for suffix, codec in (
        ("wav", "pcm_s16le"),
        ("mka", "flac"),
        ("m4a", "aac"),
        ("mp3", "libmp3lame"),
        ("ogg", "flac"),
    ):
        damage = Damage()
        read_audio(write_sound(tmp_path / f"a.{suffix}", noise, codec=codec), damage=damage)
        assert damage == Damage()
    for name in ("WolfgangLanger_Pexels.mp4", "face_noface.mov", "no_face.mp4", "single_face.mp4"):
        _, (end,) = read(shared(f"media/{name}"))
        assert (end.video.damage, end.audio.damage) == ("", "")


def test_a_fault_of_one_track_does_not_cost_the_other(tmp_path):
    path = write_part(tmp_path / "a.ts", 60, hz=300)
    frames, ends = read(
        path, Interval(audio_channel=3), Interval(region=Region(x_px=60, y_px=0, width_px=9, height_px=9))
    )
    assert len(frames) == 7
    assert ends[0].audio.missing == f"{path} has no channel 3: it has 1, counted from 0"
    assert ends[0].frames == 7
    assert "does not fit into a frame of 64x48 px" in ends[1].video.missing
    assert (ends[1].frames, len(ends[1].samples)) == (0, 48_000)
    assert ends[0].video.missing is None
    assert ends[1].audio.missing is None


def test_a_claimed_sampling_rate_that_no_audio_has_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.ones((4000, 1), np.int16), rate=1)
    with pytest.raises(MediaError, match="claims a sampling rate of 1 Hz"):
        read_audio(path)
    _, (end,) = read(path)
    assert (len(end.samples), end.audio.unreadable) == (0, True)
    assert "claims a sampling rate of 1 Hz" in end.audio.missing


# Names


@pytest.mark.parametrize(
    "name", ["take:1.mp4", "concat:a.mp4", "file:b.mp4", "data:c.mp4", "-i.mp4", "take %02d [x]?.mp4", b"caf\xe9.mp4"]
)
def test_a_name_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    data = write_video(tmp_path / "v.mp4", [grey_image(level) for level in (20, 100)]).read_bytes()
    sound = write_sound(tmp_path / "a.flac", tone(16_000, 0.5, 300)[None], codec="flac").read_bytes()
    name = os.fsdecode(name)
    Path(name).write_bytes(data)
    assert probe(name).has_video
    assert len(list(read_frames(name, [0.0, 0.1]))) == 2
    Path(name).write_bytes(sound)
    assert len(read_audio(name)) == 8000


def test_a_playlist_that_is_given_as_a_recording_reaches_no_network(tmp_path):
    for name, text in (
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("b.txt", "ffconcat version 1.0\nfile 'http://127.0.0.1:9/a.ts'\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(MediaError, match=name):
            read_audio(path)

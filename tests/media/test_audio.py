import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video

from mme2e.errors import MediaError
from mme2e.media import audio
from mme2e.media.audio import decode_flac, encode_flac, read_audio


def noise(samples, channels=1):
    return np.random.default_rng(samples).integers(-9000, 9000, (channels, samples)).astype(np.int16)


def tone(rate, seconds, hz=440.0):
    return (9000 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def test_sound_at_16_khz_is_read_as_it_is(tmp_path):
    sound = noise(20_000)
    path = write_sound(tmp_path / "a.wav", sound)
    assert read_audio(path).dtype == np.int16
    np.testing.assert_array_equal(read_audio(path), sound[0])
    np.testing.assert_array_equal(read_audio(path, start_s=0.25, end_s=1.0), sound[0, 4000:16000])
    np.testing.assert_array_equal(read_audio(path, start_s=1.0, end_s=9.0), sound[0, 16000:])
    assert len(read_audio(path, start_s=2.0, end_s=3.0)) == 0
    assert len(read_audio(path, start_s=0.5, end_s=0.5)) == 0


def test_a_cut_far_in_is_the_same_as_without_jumping(tmp_path):
    sound = noise(16_000 * 30)
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mkv", "flac")):
        path = write_sound(tmp_path / name, sound, codec=codec)
        # Matroska counts in milliseconds, 16 samples.
        cut = read_audio(path, start_s=20.0625, end_s=20.5)
        assert len(cut) == 7000
        errors = [np.abs(cut - sound[0, 321_000 + shift :][:7000].astype(int)).max() for shift in range(-16, 17)]
        assert min(errors) == 0
        if name != "a.mkv":
            assert errors[16] == 0


def test_one_channel_is_taken_before_mixing(tmp_path):
    sound = noise(8000, channels=2)
    path = write_sound(tmp_path / "a.wav", sound)
    np.testing.assert_array_equal(read_audio(path, channel=0), sound[0])
    np.testing.assert_array_equal(read_audio(path, channel=1), sound[1])
    assert np.abs(read_audio(path) - sound.mean(0)).max() <= 1
    with pytest.raises(MediaError, match="no channel 2: it has 2"):
        read_audio(path, channel=2)


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.wav", "pcm_s16le", 44_100), ("a.mp4", "aac", 48_000)])
def test_resampling_keeps_time_and_tone(tmp_path, name, codec, rate):
    path = write_sound(tmp_path / name, tone(rate, 2.0)[None], rate, codec=codec)
    waveform = read_audio(path)
    assert len(waveform) == pytest.approx(32_000, abs=1100)  # AAC fills its last frame
    middle = slice(8000, 24_000)
    correlation = np.corrcoef(waveform[middle], tone(16_000, 2.0)[middle])[0, 1]
    assert correlation > 0.99


def test_silence_where_the_container_has_no_sound_yet(tmp_path):
    video = write_video(tmp_path / "v.mkv", [grey_image(100)] * 10)
    sound = write_sound(tmp_path / "a.mkv", noise(16_000), start_s=2.0)
    assert len(read_audio(sound)) == 16_000  # alone in its file, it starts the clock
    with pytest.raises(MediaError, match="no audio"):
        read_audio(video)


def test_unreadable_sound(tmp_path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path in (empty, tmp_path / "missing.wav"):
        with pytest.raises(MediaError, match=path.name):
            read_audio(path)
    path = write_sound(tmp_path / "a.wav", noise(1600))
    with pytest.raises(MediaError, match="expected 0 <= start <= end"):
        read_audio(path, start_s=2.0, end_s=1.0)


def test_truncated_sound_gives_what_is_there(tmp_path):
    sound = noise(16_000)
    data = write_sound(tmp_path / "a.wav", sound).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(data[: len(data) // 2])
    waveform = read_audio(cut)
    assert 7000 < len(waveform) < 9000
    np.testing.assert_array_equal(waveform, sound[0, : len(waveform)])


@pytest.mark.parametrize("samples", [0, 1, 15, 4608, 4609, 50_000])
def test_flac_loses_nothing(samples):
    waveform = noise(samples)[0]
    packed = encode_flac(waveform)
    np.testing.assert_array_equal(decode_flac(packed), waveform)
    assert len(packed) < 2 * samples + 400


def test_flac_refuses_other_things(tmp_path):
    with pytest.raises(ValueError, match="float32"):
        encode_flac(np.zeros(10, dtype=np.float32))
    with pytest.raises(MediaError, match="not FLAC"):
        decode_flac(b"not a sound" * 10)
    with pytest.raises(MediaError, match="44100 Hz"):
        decode_flac(write_sound(tmp_path / "a.flac", noise(5000), 44_100, codec="flac").read_bytes())


# The reference has a function for each corpus; at 16 kHz the two give the same values.


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("channel", [None, 0, 1])
def test_plain_wav_is_what_ffmpeg_makes_of_it(tmp_path, monkeypatch, channels, channel):
    path = write_sound(tmp_path / "a.wav", noise(40_001, channels))
    cuts = [(0.0, None), (0.00001, 0.7), (1.25, 2.0), (2.4, 9.0), (2.50006, 3.0), (3.0, None), (1.0, 1.0)]

    def read():
        return [read_audio(path, start_s=start_s, end_s=end_s, channel=channel) for start_s, end_s in cuts]

    if channel is not None and channel >= channels:
        with pytest.raises(MediaError, match="no channel 1"):
            read()
        return
    plain = read()
    monkeypatch.setattr(audio, "plain_wav", lambda *_: None)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(plain, read(), strict=True))
    assert {samples.dtype for samples in plain} == {np.dtype(np.int16)}


def test_wav_files_whose_header_lies(tmp_path, monkeypatch):
    sound = noise(20_000)
    whole = write_sound(tmp_path / "a.wav", sound).read_bytes()
    at = whole.index(b"data") + 4
    streamed = tmp_path / "streamed.wav"  # written before anyone knew how long it would be
    streamed.write_bytes(whole[:at] + b"\xff" * 4 + whole[at + 4 :])
    np.testing.assert_array_equal(read_audio(streamed), sound[0])
    cut_off = tmp_path / "cut.wav"
    cut_off.write_bytes(whole[: at + 4 + 20_001])
    np.testing.assert_array_equal(read_audio(cut_off, start_s=0.1), sound[0, 1600:10_000])

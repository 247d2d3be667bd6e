import numpy as np
import pytest
import torch
from media_writing import grey_image, write_sound, write_video

from mme2e.audio import (
    CHUNK_SAMPLES,
    HOP_LENGTH,
    WINDOW_LENGTH,
    decode_flac,
    encode_flac,
    mel_chunks,
    mel_spectrogram,
    read_audio,
)
from mme2e.errors import MediaError


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
    with pytest.raises(MediaError, match="no sound"):
        read_audio(video)


def test_unreadable_sound(tmp_path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path in (empty, tmp_path / "missing.wav"):
        with pytest.raises(MediaError, match=path.name):
            read_audio(path)
    path = write_sound(tmp_path / "a.wav", noise(1600))
    with pytest.raises(MediaError, match="wanted 0 <= start <= end"):
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
    with pytest.raises(MediaError, match="no FLAC"):
        decode_flac(b"not a sound" * 10)
    with pytest.raises(MediaError, match="44100 Hz"):
        decode_flac(write_sound(tmp_path / "a.flac", noise(5000), 44_100, codec="flac").read_bytes())


# The reference has a function for each corpus; at 16 kHz the two give the same values.
@pytest.mark.parametrize(("corpus", "rate"), [("mosei", 16_000), ("iemocap", 16_000), ("mosei", 44_100)])
def test_mel_is_the_references(shared, corpus, rate):
    with np.load(shared("golden/mel.npz")) as golden:
        waveform, wanted = torch.from_numpy(golden[f"wave_{rate}"]), golden[f"{corpus}_{rate}"][0]
    np.testing.assert_allclose(mel_spectrogram(waveform, rate), wanted, rtol=1e-4, atol=1e-9 * wanted.max())


def naive_mel(waveform):
    """A direct Fourier transform of every window, in double precision; filters from their definition."""
    padded = np.pad(waveform, WINDOW_LENGTH // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_LENGTH) / WINDOW_LENGTH)
    columns = range(0, len(padded) - WINDOW_LENGTH + 1, HOP_LENGTH)
    power = np.array([np.abs(np.fft.rfft(padded[c : c + WINDOW_LENGTH] * hann)) ** 2 for c in columns])
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 130)
    hz = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, 8000, WINDOW_LENGTH // 2 + 1)
    filters = np.array([np.interp(bins, hz[m : m + 3], [0, 1, 0]) for m in range(128)])
    return filters @ power.T


@pytest.mark.parametrize("samples", [201, 202, 399, 400, 401, 6399, 6400, 10_001])
def test_mel_is_its_definition(samples):
    waveform = noise(samples)[0]
    wanted = naive_mel(waveform / 32768)
    computed = mel_spectrogram(torch.from_numpy(waveform)).double().numpy()
    assert computed.shape == wanted.shape == (128, 1 + samples // HOP_LENGTH)
    assert np.abs(computed - wanted).max() < 1e-4 * wanted.max()


@pytest.mark.parametrize("samples", [1, 199, 200])
def test_waveforms_too_short_to_reflect_are_continued_with_zeros(samples):
    waveform = noise(samples)[0]
    computed = mel_spectrogram(torch.from_numpy(waveform))
    continued = np.zeros(201)
    continued[:samples] = waveform / 32768
    wanted = naive_mel(continued)[:, : 1 + samples // HOP_LENGTH]
    assert computed.shape == wanted.shape
    assert np.abs(computed.double().numpy() - wanted).max() <= 1e-4 * wanted.max()


def test_mel_wants_one_waveform():
    for shape in ((0,), (2, 400)):
        with pytest.raises(ValueError, match="at least one sample"):
            mel_spectrogram(torch.zeros(shape))


def test_chunks_of_a_ragged_batch_are_those_of_each_utterance():
    lengths = [10_000, 0, 1, 199, 200, 201, CHUNK_SAMPLES, CHUNK_SAMPLES - HOP_LENGTH - 1, 0, 700_000, 50]
    waveforms = [torch.from_numpy(noise(length)[0]) for length in lengths]
    chunks, num_chunks = mel_chunks(torch.cat(waveforms), torch.tensor(lengths))
    assert chunks.shape == (int(num_chunks.sum()), 1, 128, 32)
    assert chunks.dtype == torch.float32
    assert num_chunks.tolist() == [2, 0, 1, 1, 1, 1, 2, 1, 0, 110, 1]
    for waveform, own in zip(waveforms, chunks.split(num_chunks.tolist()), strict=True):
        if not len(waveform):
            assert len(own) == 0
            continue
        mel = mel_spectrogram(waveform)
        columns = own[:, 0].transpose(0, 1).reshape(128, -1)
        torch.testing.assert_close(columns[:, : mel.shape[1]], mel, rtol=1e-5, atol=1e-7)
        assert not columns[:, mel.shape[1] :].any()


def test_chunks_of_floats_and_of_nothing():
    waveform = torch.from_numpy(noise(9000)[0])
    chunks, _ = mel_chunks(waveform, torch.tensor([9000]))
    floats, _ = mel_chunks(waveform / 32768, torch.tensor([9000]))
    torch.testing.assert_close(floats, chunks)
    for lengths in ([], [0], [0, 0]):
        chunks, num_chunks = mel_chunks(torch.zeros(0, dtype=torch.int16), torch.tensor(lengths, dtype=torch.int64))
        assert chunks.shape == (0, 1, 128, 32)
        assert num_chunks.tolist() == lengths
    with pytest.raises(ValueError, match="add up to 5, but there are 9000"):
        mel_chunks(waveform, torch.tensor([5]))


def test_mixed_precision_does_not_reach_the_spectrogram():
    waveform = torch.from_numpy(noise(9000)[0])
    wanted, _ = mel_chunks(waveform, torch.tensor([9000]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        chunks, _ = mel_chunks(waveform, torch.tensor([9000]))
    torch.testing.assert_close(chunks, wanted, rtol=0, atol=0)

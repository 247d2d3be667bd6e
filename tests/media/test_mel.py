import numpy as np
import pytest
import torch

from mme2e.media.mel import CHUNK_SAMPLES, HOP_LENGTH, WINDOW_LENGTH, mel_chunks, mel_spectrogram


def noise(samples, channels=1):
    return np.random.default_rng(samples).integers(-9000, 9000, (channels, samples)).astype(np.int16)


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

import numpy as np
import pytest
import torch

from mme2e.config import AudioInputSettings, FaceInputSettings, ModelSettings
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.media.mel_statistics import LEAST_POWER, band_statistics
from mme2e.models.signals import LARGEST, audio_maps, face_input, face_maps

LOG = AudioInputSettings(scale="log")
BY_UTTERANCE = AudioInputSettings(scale="log", normalise="utterance")
BY_RECORDING = AudioInputSettings(scale="log", normalise="recording")


def make_chunks(*lengths: int, seed: int = 0) -> Ragged:
    generator = torch.Generator().manual_seed(seed)
    power = torch.rand(sum(lengths), 1, 128, 32, generator=generator).mul(8).exp() * 1e-4
    return Ragged(power, torch.tensor(lengths))


def make_crops(*lengths: int) -> Ragged:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 256, (sum(lengths), 3, 48, 48), dtype=torch.uint8, generator=generator)
    return Ragged(values, torch.tensor(lengths))


def test_by_default_the_towers_see_what_the_reference_sees() -> None:
    settings, chunks, crops = ModelSettings(), make_chunks(2), make_crops(1)
    assert audio_maps(chunks, settings.audio) is chunks
    assert torch.equal(face_maps(crops, settings.faces).values, crops.values)
    assert face_input(settings.faces).mean == (159.0, 111.0, 102.0)


def test_the_logarithm_has_a_floor() -> None:
    chunks = Ragged(torch.tensor([0.0, 1e-12, 1.0, 2.0]).view(1, 1, 4, 1).expand(1, 1, 4, 32), torch.tensor([1]))
    levels = audio_maps(chunks, LOG).values[0, 0, :, 0]
    torch.testing.assert_close(levels, torch.tensor([LEAST_POWER, LEAST_POWER, 1.0, 2.0]).log())


def test_every_band_of_an_utterance_has_mean_0_and_deviation_1() -> None:
    chunks = make_chunks(2, 0, 3)
    values = audio_maps(chunks, BY_UTTERANCE).values[:, 0]
    for part in (values[:2], values[2:]):
        bands = part.permute(1, 0, 2).flatten(1)
        torch.testing.assert_close(bands.mean(dim=1), torch.zeros(128), atol=1e-3, rtol=0)
        torch.testing.assert_close(bands.std(dim=1, correction=0), torch.ones(128), atol=1e-2, rtol=0)


def test_what_has_no_power_says_nothing_and_counts_for_nothing() -> None:
    whole = make_chunks(2)
    longer = Ragged(torch.cat([whole.values, torch.zeros(1, 1, 128, 32)]), torch.tensor([3]))
    values = audio_maps(longer, BY_UTTERANCE).values
    torch.testing.assert_close(values[:2], audio_maps(whole, BY_UTTERANCE).values)
    assert not values[2].any()


@pytest.mark.parametrize("gain", [1e-3, 1e3])
def test_a_gain_changes_nothing(gain: float) -> None:
    chunks = make_chunks(3)
    louder = Ragged(chunks.values * gain, chunks.lengths)
    expected = audio_maps(chunks, BY_UTTERANCE).values
    torch.testing.assert_close(audio_maps(louder, BY_UTTERANCE).values, expected, atol=2e-3, rtol=0)


def test_the_recording_is_all_of_its_utterances() -> None:
    chunks = make_chunks(2, 3)
    chunks.values[2:] *= 5  # the second is louder
    each = band_statistics(chunks.values[:, 0], chunks.lengths)
    recording = each.grouped(torch.zeros(2, dtype=torch.int64), 1)
    context = each.context_of(recording[torch.zeros(2, dtype=torch.int64)])
    together = audio_maps(Ragged(chunks.values, torch.tensor([5])), BY_UTTERANCE).values
    torch.testing.assert_close(audio_maps(chunks, BY_RECORDING, context).values, together, atol=2e-3, rtol=1e-3)


def test_a_gain_of_augmentation_is_taken_back_by_the_context_of_the_clean_recording() -> None:
    chunks = make_chunks(2, 3)
    each = band_statistics(chunks.values[:, 0], chunks.lengths)
    recording = each.grouped(torch.zeros(2, dtype=torch.int64), 1)
    context = each.context_of(recording[torch.zeros(2, dtype=torch.int64)])
    clean = audio_maps(chunks, BY_RECORDING, context).values
    louder = Ragged(chunks.values * 7, chunks.lengths)
    torch.testing.assert_close(audio_maps(louder, BY_RECORDING, context).values, clean, atol=2e-3, rtol=0)


def test_without_context_the_utterance_is_the_recording() -> None:
    chunks = make_chunks(2)
    assert torch.equal(audio_maps(chunks, BY_RECORDING).values, audio_maps(chunks, BY_UTTERANCE).values)


@pytest.mark.parametrize("columns", [1, 2])
def test_one_column_and_digital_silence_stay_finite(columns: int) -> None:
    power = torch.zeros(2, 1, 128, 32)
    power[0, :, :, :columns] = 1.0
    values = audio_maps(Ragged(power, torch.tensor([1, 1])), BY_UTTERANCE).values
    assert values.isfinite().all()
    assert values.abs().max() <= LARGEST
    assert not audio_maps(Ragged(power[:0], torch.tensor([0, 0])), BY_UTTERANCE).values.numel()


def test_grey_is_the_brightness() -> None:
    crops = Ragged(
        torch.tensor([255, 0, 0, 0, 255, 0, 0, 0, 255]).view(3, 3, 1, 1).expand(3, 3, 48, 48).byte(), torch.tensor([3])
    )
    grey = face_maps(crops, FaceInputSettings(colour="grey")).values
    assert grey.shape == (3, 1, 48, 48)
    np.testing.assert_allclose(grey[:, 0, 0, 0], 255 * np.array([0.299, 0.587, 0.114]), rtol=1e-5)


@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_a_crop_of_its_own_light_is_the_same_in_any_light(colour: str) -> None:
    settings = FaceInputSettings(colour=colour, normalise="crop")  # type: ignore[arg-type]
    bright = make_crops(2, 1)
    dark = Ragged((bright.values // 2), bright.lengths)
    torch.testing.assert_close(face_maps(dark, settings).values, face_maps(bright, settings).values, atol=0.02, rtol=0)
    assert face_input(settings).mean is None
    even = Ragged(torch.full((1, 3, 48, 48), 9, dtype=torch.uint8), torch.tensor([1]))
    assert not face_maps(even, settings).values.any()
    assert len(face_maps(make_crops(0), settings).values) == 0


def test_power_cannot_be_normalised() -> None:
    with pytest.raises(UserError, match=r"audio\.normalise utterance requires --model\.audio\.scale log"):
        ModelSettings(audio=AudioInputSettings(normalise="utterance"))

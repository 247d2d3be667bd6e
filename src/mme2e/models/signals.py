"""What the towers see: face crops and mel chunks on the scale that the settings ask for."""

import torch
from torch import Tensor

from mme2e.config import AudioInputSettings, FaceInputSettings
from mme2e.data.ragged import Ragged
from mme2e.faces.face_crop import LUMA
from mme2e.media.mel_statistics import band_statistics, log_power
from mme2e.models.towers import FACE_INPUT, TowerInput

GREY_INPUT = TowerInput(channels=1, height=48, width=48, mean=(128.0,), std=(64.0,))
"""Brightness of a crop, 0..255."""

LEAST_DEVIATION = 0.25
"""Of a mel band, in natural logarithms of power, and for crops in brightness: what hardly changes is not blown up."""

LARGEST = 4.0
"""Normalised levels are cut here, in standard deviations."""


def face_input(settings: FaceInputSettings) -> TowerInput:
    """What the visual tower takes."""
    grey = settings.colour == "grey"
    if settings.normalise == "crop":
        return TowerInput(channels=1 if grey else 3, height=48, width=48)
    return GREY_INPUT if grey else FACE_INPUT


def face_maps(crops: Ragged, settings: FaceInputSettings) -> Ragged:
    """Face crops as the visual tower takes them.

    Args:
        crops: (total, 3, 48, 48) uint8, RGB.
        settings: Colour and normalisation.

    Returns:
        (total, channels, 48, 48) of `face_input`: as they are, or float32.
    """
    values = crops.values
    if settings.colour == "grey":
        weights = torch.tensor(LUMA, device=values.device)
        values = torch.einsum("nchw,c->nhw", values.float(), weights).unsqueeze(1)
    if settings.normalise == "crop" and len(values):
        values = values.float()
        std, mean = torch.std_mean(values, dim=(1, 2, 3), keepdim=True, correction=0)
        values = (values - mean) / std.clamp_min(LEAST_DEVIATION)
    return Ragged(values, crops.lengths, crops.present)


def audio_maps(chunks: Ragged, settings: AudioInputSettings, context: Tensor | None = None) -> Ragged:
    """Mel chunks as the acoustic tower takes them.

    With normalisation every band has mean 0 and deviation 1 over the utterance, or, by `context`, over the recording
    that it is from; what has no power at all (behind the end, digital silence, masks) becomes 0, which says nothing.

    Args:
        chunks: (total, 1, 128, 32) float32, power.
        settings: Scale and normalisation.
        context: (batch, 2, 128) for `normalise="recording"`: by how much the mean of the recording is above that of the
            utterance, and the logarithm of the ratio of their deviations; None: the utterance is the recording.

    Returns:
        (total, 1, 128, 32) float32.
    """
    if settings.scale == "power":
        return chunks
    power = chunks.values
    levels = log_power(power)
    if settings.normalise == "none" or not len(power):
        return Ragged(levels, chunks.lengths, chunks.present)
    mean, std = band_statistics(power[:, 0], chunks.lengths).mean_and_deviation()
    if settings.normalise == "recording" and context is not None:
        mean, std = mean + context[:, 0], std * context[:, 1].exp()
    std = std.clamp_min(LEAST_DEVIATION)
    utterance = torch.repeat_interleave(chunks.lengths, output_size=len(power))
    levels = (levels[:, 0] - mean[utterance].unsqueeze(2)) / std[utterance].unsqueeze(2)
    levels = levels.clamp(-LARGEST, LARGEST).unsqueeze(1)
    return Ragged(torch.where(power > 0, levels, 0.0), chunks.lengths, chunks.present)

import numpy as np
import pytest
import torch

from mme2e.media.mel import mel_chunks
from mme2e.media.mel_statistics import BandStatistics, band_statistics, log_power, statistics_of


def make_samples(length: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=length) * 2000).astype(np.int16)


def test_they_are_the_mean_and_the_deviation_of_the_columns() -> None:
    samples = make_samples(9000)
    chunks, _ = mel_chunks(torch.from_numpy(samples), torch.tensor([len(samples)]))
    columns = log_power(chunks[:, 0]).permute(1, 0, 2).flatten(1)[:, : 1 + 9000 // 200]
    mean, deviation = BandStatistics.unpacked([statistics_of(samples)]).mean_and_deviation()
    heard = columns.std(dim=1, correction=0) > 0  # not the bands that no filter fills
    torch.testing.assert_close(mean[0], columns.mean(dim=1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(deviation[0][heard], columns.std(dim=1, correction=0)[heard], atol=1e-3, rtol=1e-2)


def test_those_of_a_group_are_those_of_all_columns() -> None:
    parts = [make_samples(6400 * n, seed=n) for n in (1, 2)]
    chunks, number = mel_chunks(torch.from_numpy(np.concatenate(parts)), torch.tensor([6400, 12800]))
    each = band_statistics(chunks[:, 0], number)
    together = band_statistics(chunks[:, 0], torch.tensor([len(chunks)]))
    grouped = each.grouped(torch.tensor([0, 0]), 1)
    for mine, theirs in zip(grouped.mean_and_deviation(), together.mean_and_deviation(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=0.02, rtol=1e-3)  # bands that no filter fills never change


@pytest.mark.parametrize("length", [1, 199, 6400])
def test_any_length(length: int) -> None:
    packed = statistics_of(make_samples(length))
    assert len(packed) == 257
    assert np.isfinite(packed).all()
    assert packed[0] == 1 + length // 200


def test_nothing_that_is_heard_has_no_context() -> None:
    silence = BandStatistics.unpacked([None, statistics_of(np.zeros(800, dtype=np.int16))])
    assert silence.columns.tolist() == [0, 0]
    assert not silence.context_of(silence).any()

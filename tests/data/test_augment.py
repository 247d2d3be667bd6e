import torch

from mme2e.config import AugmentSettings
from mme2e.data.augment import augment_mel
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged


def mel_batch(num_chunks):
    return Batch(mel_chunks=Ragged(torch.ones(sum(num_chunks), 1, 128, 32), torch.tensor(num_chunks)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_mel_off_gives_the_batch_back():
    batch = mel_batch([2, 1])
    assert augment_mel(batch, AugmentSettings(), generator()) is batch
    no_sound = Batch(face_crops=Ragged.join([torch.zeros(1, 3, 48, 48, dtype=torch.uint8)]))
    assert augment_mel(no_sound, AugmentSettings(time_masks=1), generator()) is no_sound


def test_time_masks_are_one_stripe_a_chunk_no_wider_than_asked():
    batch = mel_batch([40, 0, 60])
    masked = augment_mel(batch, AugmentSettings(time_masks=1, time_mask_columns=5), generator()).mel_chunks.values
    hidden = masked[:, 0, 0] == 0
    assert torch.equal(masked[:, 0] == 0, hidden[:, None].expand(-1, 128, -1))
    assert hidden.sum(dim=1).min() == 0
    assert hidden.sum(dim=1).max() == 5
    assert (hidden.int().diff(dim=1) == 1).sum(dim=1).max() == 1
    assert hidden[:, 0].any()
    assert hidden[:, -1].any()
    assert torch.equal(batch.mel_chunks.values, torch.ones_like(batch.mel_chunks.values))


def test_frequency_masks_are_the_same_for_all_chunks_of_an_utterance():
    settings = AugmentSettings(frequency_masks=2, frequency_mask_mels=20)
    masked = augment_mel(mel_batch([3, 0, 2]), settings, generator(1)).mel_chunks.values
    hidden = masked[:, 0, :, 0] == 0
    assert torch.equal(masked[:, 0] == 0, hidden[:, :, None].expand(-1, -1, 32))
    assert torch.equal(hidden[0], hidden[2])
    assert torch.equal(hidden[3], hidden[4])
    assert not torch.equal(hidden[0], hidden[3])
    assert 0 < hidden.sum(dim=1).max() <= 40


def test_the_generator_decides_the_masks():
    settings = AugmentSettings(time_masks=2, frequency_masks=1)
    first, again, other = (
        augment_mel(mel_batch([5]), settings, generator(seed)).mel_chunks.values for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_mask_wider_than_everything_and_no_chunks_at_all():
    settings = AugmentSettings(time_masks=1, time_mask_columns=1000, frequency_masks=1, frequency_mask_mels=1000)
    assert augment_mel(mel_batch([4]), settings, generator()).mel_chunks.values.shape == (4, 1, 128, 32)
    assert augment_mel(mel_batch([0, 0]), settings, generator()).mel_chunks.values.shape == (0, 1, 128, 32)

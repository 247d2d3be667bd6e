"""Batches between processes."""

import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from mme2e.data.batch import BY_VALUE_BYTES, Batch


def make_batch(samples: int) -> Batch:
    return Batch(
        face_crops=torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8),
        num_frames=torch.tensor([3, 0]),
        waveforms=torch.randint(-5, 5, (samples,), dtype=torch.int16),
        num_samples=torch.tensor([samples, 0]),
        input_ids=torch.tensor([[1, 2], [3, 0]]),
        attention_mask=torch.tensor([[1, 1], [1, 0]]),
        labels=torch.tensor([[1.0], [0.0]]),
        ids=("one", "two"),
    )


@pytest.mark.parametrize("samples", [0, 1, BY_VALUE_BYTES])
def test_a_batch_arrives_as_it_was_sent(samples):
    sent = make_batch(samples)
    arrived = pickle.loads(ForkingPickler.dumps(sent))
    for name, value in vars(sent).items():
        found = getattr(arrived, name)
        if isinstance(value, torch.Tensor):
            assert found.dtype == value.dtype, name
            assert torch.equal(found, value), name
            found.zero_()  # it can be written to
        else:
            assert found == value, name


def test_only_large_tensors_lie_in_shared_memory():
    small, large = make_batch(10), make_batch(BY_VALUE_BYTES)
    for batch in (small, large):
        pickle.loads(ForkingPickler.dumps(batch))
    tensors = {id(tensor): tensor for tensor in vars(small).values() if isinstance(tensor, torch.Tensor)}
    assert not any(tensor.is_shared() for tensor in tensors.values())
    assert large.waveforms.is_shared()
    assert not large.labels.is_shared()


def test_bfloat16_which_numpy_does_not_know_arrives_too():
    sent = Batch(labels=torch.ones(2, 1, dtype=torch.bfloat16))
    assert torch.equal(pickle.loads(ForkingPickler.dumps(sent)).labels, sent.labels)

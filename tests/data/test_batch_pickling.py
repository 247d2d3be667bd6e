"""Batches between processes."""

import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from mme2e.data.batch import Batch
from mme2e.data.ragged import BY_VALUE_BYTES, Ragged


def make_batch(samples: int) -> Batch:
    return Batch(
        face_crops=Ragged(torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8), torch.tensor([3, 0])),
        waveforms=Ragged(torch.randint(-5, 5, (samples,), dtype=torch.int16), torch.tensor([samples, 0])),
        tokens=Ragged.join([torch.tensor([1, 2]), torch.tensor([3])]).hidden(torch.tensor([False, True])),
        labels=torch.tensor([[1.0], [0.0]]),
        ids=("one", "two"),
    )


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    ragged = {name: value for name, value in vars(batch).items() if isinstance(value, Ragged)}
    parts = {f"{name} {part}": tensor for name, value in ragged.items() for part, tensor in vars(value).items()}
    return parts | {"labels": batch.labels}


@pytest.mark.parametrize("samples", [0, 1, BY_VALUE_BYTES])
def test_a_batch_arrives_as_it_was_sent(samples):
    sent = make_batch(samples)
    arrived = pickle.loads(ForkingPickler.dumps(sent))
    assert arrived.ids == sent.ids
    assert arrived.text_features is None
    assert len(tensors(sent)) == 10
    for name, value in tensors(sent).items():
        found = tensors(arrived)[name]
        assert found.dtype == value.dtype, name
        assert torch.equal(found, value), name
        found.zero_()  # it can be written to


def test_only_large_tensors_lie_in_shared_memory():
    small, large = make_batch(10), make_batch(BY_VALUE_BYTES)
    for batch in (small, large):
        pickle.loads(ForkingPickler.dumps(batch))
    assert not any(tensor.is_shared() for tensor in tensors(small).values())
    assert [name for name, tensor in tensors(large).items() if tensor.is_shared()] == ["waveforms values"]


def test_bfloat16_which_numpy_does_not_know_arrives_too():
    sent = Batch(labels=torch.ones(2, 1, dtype=torch.bfloat16))
    assert torch.equal(pickle.loads(ForkingPickler.dumps(sent)).labels, sent.labels)

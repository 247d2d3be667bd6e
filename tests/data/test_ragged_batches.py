"""One modality of many utterances, and batches of them."""

import pytest
import torch

from mme2e.data.batch import Batch, UtteranceItem, collate
from mme2e.data.ragged import Ragged


def made(*lengths: int) -> Ragged:
    """Steps 0, 1, 2, ... of two numbers each."""
    total = sum(lengths)
    return Ragged(torch.arange(2.0 * total).view(total, 2), torch.tensor(lengths, dtype=torch.int64))


def test_sequences_come_back_as_they_were_joined() -> None:
    sequences = [torch.tensor([3, 1]), torch.zeros(0, dtype=torch.int64), torch.tensor([4])]
    ragged = Ragged.join(sequences)
    assert ragged.values.tolist() == [3, 1, 4]
    assert ragged.lengths.tolist() == [2, 0, 1]
    assert ragged.present.tolist() == [True, False, True]
    assert len(ragged) == 3
    assert all(map(torch.equal, ragged.split(), sequences))


def test_lengths_must_add_up() -> None:
    with pytest.raises(ValueError, match="the lengths add up to 5 but there are 6 steps"):
        Ragged(torch.zeros(6), torch.tensor([2, 3]))
    with pytest.raises(ValueError, match=r"present has shape \(1,\) for 2 utterances"):
        Ragged(torch.zeros(5), torch.tensor([2, 3]), torch.tensor([True]))


@pytest.mark.parametrize("lengths", [(1, 0, 2), (0,), (0, 0), (3,), ()])
def test_padding_and_back(lengths: tuple[int, ...]) -> None:
    ragged = made(*lengths)
    padded, mask = ragged.padded(-1, at_least=1)
    longest = max(1, *lengths, 0)
    assert padded.shape == (len(lengths), longest, 2)
    assert mask.sum(dim=1).tolist() == list(lengths)
    assert (padded[~mask] == -1).all()
    again = Ragged.from_padded(padded, mask)
    assert torch.equal(again.values, ragged.values)
    assert torch.equal(again.lengths, ragged.lengths)


def test_padding_stands_behind_each_sequence() -> None:
    assert made(1, 0, 2).padded()[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [0, 0]], [[2, 3], [4, 5]]]
    assert made(0, 0).padded()[0].shape == (2, 0, 2)


def test_gradients_go_through_padding() -> None:
    values = torch.ones(3, 2, requires_grad=True)
    padded, mask = Ragged(values, torch.tensor([1, 2])).padded()
    (padded * mask.cumsum(dim=1).unsqueeze(2)).sum().backward()
    assert values.grad is not None
    assert values.grad[:, 0].tolist() == [1, 1, 2]


def test_without_a_mask_everything_is_real() -> None:
    assert Ragged.from_padded(torch.zeros(2, 3)).lengths.tolist() == [3, 3]
    nothing = Ragged.from_padded(torch.zeros(2, 0))
    assert nothing.lengths.tolist() == [0, 0]
    assert not nothing.present.any()


def test_some_utterances_in_another_order() -> None:
    chosen = made(1, 0, 2).hidden(torch.tensor([True, False, False])).select([2, 0, 2])
    assert [each[:, 0].tolist() for each in chosen.split()] == [[2, 4], [0], [2, 4]]
    assert chosen.present.tolist() == [True, False, True]


def test_hiding_keeps_the_steps() -> None:
    ragged = made(1, 0, 2)
    hidden = ragged.hidden(torch.tensor([True, False, False]))
    assert hidden.present.tolist() == [False, False, True]
    assert hidden.lengths.tolist() == [1, 0, 2]
    assert hidden.values is ragged.values
    assert ragged.present.tolist() == [True, False, True]


def test_another_device_keeps_what_is_hidden() -> None:
    ragged = made(1, 2).hidden(torch.tensor([False, True]))
    moved = ragged.to("meta")
    assert {moved.values.device.type, moved.lengths.device.type, moved.present.device.type} == {"meta"}
    assert ragged.to("cpu").present.tolist() == [True, False]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_page_locked_batches_arrive_on_a_gpu_as_they_are() -> None:
    batch = make_batch().pin_memory()
    assert batch.face_crops.values.is_pinned()  # type: ignore[union-attr]
    assert batch.labels.is_pinned()  # type: ignore[union-attr]
    moved = batch.to("cuda")
    assert moved.labels.device.type == "cuda"  # type: ignore[union-attr]
    back = moved.to("cpu")
    for name in ("face_crops", "waveforms"):
        for part, tensor in vars(getattr(make_batch(), name)).items():
            assert torch.equal(getattr(getattr(back, name), part), tensor), (name, part)


def make_batch() -> Batch:
    sound = Ragged(torch.zeros(6400, dtype=torch.int16), torch.tensor([0, 6400, 0]), torch.tensor([False, False, True]))
    return Batch(face_crops=made(1, 0, 2), waveforms=sound, labels=torch.eye(3), ids=("a", "b", "c"))


def test_the_size_of_a_batch() -> None:
    assert len(make_batch()) == 3
    assert len(Batch(acoustic_features=made(2, 1))) == 2
    assert len(Batch(labels=torch.zeros(4, 2))) == 4
    assert len(Batch()) == 0


def test_presence_is_that_of_any_field_of_the_modality() -> None:
    assert make_batch().present("v").tolist() == [True, False, True]  # type: ignore[union-attr]
    assert Batch(visual_features=made(0, 1)).present("v").tolist() == [False, True]  # type: ignore[union-attr]
    assert make_batch().present("t") is None


def test_a_batch_hides_a_modality_in_all_its_fields() -> None:
    batch = make_batch().with_mel_chunks()
    assert batch.mel_chunks is not None
    assert batch.mel_chunks.present.tolist() == [False, False, True]  # as the waveforms', not by length
    hidden = batch.hidden("a", torch.tensor([False, False, True]))
    assert not hidden.mel_chunks.present.any()  # type: ignore[union-attr]
    assert not hidden.waveforms.present.any()  # type: ignore[union-attr]
    assert hidden.face_crops is batch.face_crops
    nothing = batch.hidden("t", torch.tensor([True, True, True]))
    assert nothing.tokens is None


def test_utterances_of_a_batch() -> None:
    batch = make_batch().select([2, 1])
    assert batch.ids == ("c", "b")
    assert batch.labels.tolist() == [[0, 0, 1], [0, 1, 0]]  # type: ignore[union-attr]
    assert batch.face_crops.lengths.tolist() == [2, 0]  # type: ignore[union-attr]
    assert batch.waveforms.present.tolist() == [True, False]  # type: ignore[union-attr]
    assert batch.tokens is None


def test_collating_what_is_missing() -> None:
    empty = UtteranceItem(id="e", tokens=torch.zeros(0, dtype=torch.int64), labels=torch.zeros(2))
    full = UtteranceItem(id="f", tokens=torch.tensor([5, 6]), labels=torch.ones(2))
    batch = collate([empty, full])
    assert batch.tokens.values.tolist() == [5, 6]  # type: ignore[union-attr]
    assert batch.present("t").tolist() == [False, True]  # type: ignore[union-attr]
    assert batch.waveforms is batch.face_crops is batch.text_features is None
    assert collate([empty]).tokens.values.shape == (0,)  # type: ignore[union-attr]

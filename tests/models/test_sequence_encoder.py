import pytest
import torch

from mme2e.models.sequence_encoder import SequenceEncoder


def make_encoder(**changes: float) -> SequenceEncoder:
    torch.manual_seed(0)
    sizes = {"num_layers": 2, "num_heads": 2, "feedforward_dim": 16, "dropout": 0.0} | changes
    return SequenceEncoder(8, **sizes)


LENGTHS = torch.tensor([3, 0, 1, 5])


def test_each_sequence_alone_gives_the_same() -> None:
    encoder = make_encoder().eval()
    vectors = torch.randn(9, 8)
    together = encoder(vectors, LENGTHS)
    for row, (part, length) in enumerate(zip(vectors.split(LENGTHS.tolist()), LENGTHS, strict=True)):
        torch.testing.assert_close(encoder(part, length[None])[0], together[row])


def test_equals_a_transformer_over_cls_and_the_sequence() -> None:
    encoder = make_encoder().eval()
    vectors = torch.randn(3, 8)
    wanted = encoder.encoder(torch.cat([encoder.cls, vectors])[None])[0, 0]
    torch.testing.assert_close(encoder(vectors, torch.tensor([3]))[0], wanted)


def test_training_without_dropout_equals_evaluation_and_its_fast_path() -> None:
    encoder = make_encoder()
    vectors = torch.randn(9, 8)
    training = encoder.train()(vectors, LENGTHS)
    evaluating = encoder.eval()(vectors, LENGTHS)
    with torch.no_grad():
        fast = encoder(vectors, LENGTHS)
    torch.testing.assert_close(training, evaluating)
    torch.testing.assert_close(fast, evaluating)


def test_dropout_is_used_in_training_only() -> None:
    encoder = make_encoder(dropout=0.5)
    vectors = torch.randn(9, 8)
    assert not torch.allclose(encoder.train()(vectors, LENGTHS), encoder(vectors, LENGTHS))
    assert torch.equal(encoder.eval()(vectors, LENGTHS), encoder(vectors, LENGTHS))


def test_order_within_a_sequence_does_not_matter_but_between_sequences_it_does() -> None:
    encoder = make_encoder().eval()
    vectors = torch.randn(4, 8)
    lengths = torch.tensor([2, 2])
    out = encoder(vectors, lengths)
    torch.testing.assert_close(encoder(vectors[[1, 0, 2, 3]], lengths), out)
    assert not torch.allclose(encoder(vectors[[0, 2, 1, 3]], lengths), out)


@pytest.mark.parametrize("lengths", [[0], [0, 0]])
def test_without_any_vector_the_cls_speaks(lengths: list[int]) -> None:
    out = make_encoder().eval()(torch.zeros(0, 8), torch.tensor(lengths))
    assert out.shape == (len(lengths), 8)
    assert out.isfinite().all()


def test_gradients_reach_everything() -> None:
    encoder = make_encoder()
    vectors = torch.randn(9, 8, requires_grad=True)
    encoder(vectors, LENGTHS)[:, 0].square().sum().backward()
    assert vectors.grad.abs().sum(dim=1).gt(0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_lengths_that_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="add up to 9 but there are 8 vectors"):
        make_encoder()(torch.zeros(8, 8), LENGTHS)

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.models.fusion import ModalityOutputs
from mme2e.training.losses import EmotionLoss, check_loss_fits, logit_adjustment, loss_of_modalities, positive_weights


def test_positive_weights_are_negatives_per_positive():
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]], dtype=np.float32)
    weights = positive_weights(labels)
    assert weights.dtype == torch.float32
    # Emotions that nobody or everybody has weigh as they are.
    assert weights.tolist() == [3, 1, 1]


def test_bce_by_hand():
    logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    plain = EmotionLoss("bce")(logits, labels).item()
    assert plain == pytest.approx((np.log(2) + np.log(1 + np.exp(2))) / 2, rel=1e-6)
    weighted = EmotionLoss("bce", torch.tensor([3.0, 5.0]))(logits, labels).item()
    assert weighted == pytest.approx((3 * np.log(2) + np.log(1 + np.exp(2))) / 2, rel=1e-6)


def test_ce_by_hand():
    loss = EmotionLoss("ce")(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]]))
    assert loss.item() == pytest.approx(np.log(3), rel=1e-6)


def test_l1_and_mse_compare_probabilities_with_labels():
    logits, labels = torch.tensor([[0.0, 20.0]]), torch.tensor([[1.0, 0.0]])
    assert EmotionLoss("l1")(logits, labels).item() == pytest.approx((0.5 + 1) / 2, rel=1e-6)
    assert EmotionLoss("mse")(logits, labels).item() == pytest.approx((0.25 + 1) / 2, rel=1e-6)


def test_shares_of_votes_are_soft_targets():
    logits, shares = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.25, 0.75]])
    log_sum = np.log(1 + np.exp(2))
    assert EmotionLoss("ce")(logits, shares).item() == pytest.approx(log_sum - 0.75 * 2, rel=1e-6)
    bce = (np.log(2) + 0.75 * np.log(1 + np.exp(-2)) + 0.25 * log_sum) / 2
    assert EmotionLoss("bce")(logits, shares).item() == pytest.approx(bce, rel=1e-6)


@pytest.mark.parametrize("kind", ["bce", "ce", "l1", "mse"])
def test_half_precision_logits_give_a_single_precision_loss(kind):
    logits = torch.zeros(2, 3, dtype=torch.bfloat16)
    assert EmotionLoss(kind)(logits, torch.eye(3)[:2]).dtype == torch.float32


def test_weights_of_the_loss_are_no_state_of_the_model():
    assert not EmotionLoss("bce", torch.ones(3)).state_dict()


class TestFit:
    one = np.eye(3, dtype=np.float32)

    def test_what_fits(self):
        check_loss_fits("ce", self.one, multi_label=False)
        check_loss_fits("bce", np.zeros((2, 3)), multi_label=True)

    def test_multi_label(self):
        with pytest.raises(UserError, match="multi-label: use loss bce"):
            check_loss_fits("ce", self.one, multi_label=True)

    def test_rows_that_are_not_one_hot(self):
        with pytest.raises(UserError, match="2 training utterances have none or several"):
            check_loss_fits("ce", np.vstack([self.one, np.zeros(3), np.ones(3)]), multi_label=False)


def test_the_loss_of_modalities_is_the_sum_of_theirs():
    logits = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.eye(2).repeat(2, 1)
    present = torch.tensor([[True, True, False], [True, False, False], [True, True, False], [True, False, False]])
    loss = EmotionLoss("bce")
    found = loss_of_modalities(loss, ModalityOutputs(values=logits, present=present), labels)
    first, second = loss(logits[:, 0], labels), loss(logits[::2, 1], labels[::2])
    assert found.item() == pytest.approx((first + second).item(), rel=1e-6)


def test_a_modality_that_the_fusion_ignores_learns_by_its_own_loss():
    logits = torch.zeros(2, 2, 2, requires_grad=True)
    outputs = ModalityOutputs(values=logits, present=torch.ones(2, 2, dtype=torch.bool))
    loss_of_modalities(EmotionLoss("bce"), outputs, torch.eye(2)).backward()
    assert torch.equal(logits.grad[:, 0], logits.grad[:, 1])
    assert (logits.grad != 0).all()


def test_logit_adjustment_is_the_share_of_each_emotion() -> None:
    labels = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    found = logit_adjustment(labels, 0.5)
    assert found is not None
    torch.testing.assert_close(found, 0.5 * torch.tensor([3 / 5, 1 / 5, 1 / 5]).log())  # nobody has the third: as one
    assert logit_adjustment(labels, 0.0) is None


def test_logits_are_adjusted_in_training_only() -> None:
    logits, labels = torch.tensor([[0.3, -0.2]]), torch.tensor([[0.0, 1.0]])
    adjustment = torch.tensor([-0.1, -2.0])
    loss = EmotionLoss("ce", adjustment=adjustment)
    torch.testing.assert_close(loss(logits, labels), F.cross_entropy(logits + adjustment, labels))
    torch.testing.assert_close(loss.eval()(logits, labels), F.cross_entropy(logits, labels))


def test_logit_adjustment_is_for_one_emotion() -> None:
    with pytest.raises(UserError, match=r"logit_adjustment 0\.5 requires --loss ce, not bce"):
        TrainSettings(logit_adjustment=0.5)

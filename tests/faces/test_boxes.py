import pytest
import torch

from mme2e.faces.boxes import FEW, overlap, shifted, squared, suppress


def greedy(boxes, scores, threshold, of_smaller):
    kept = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap(boxes[i], boxes[k], of_smaller=of_smaller) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("of_smaller", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7, 60, FEW + 1])
def test_suppression_of_groups_is_greedy_in_each(count, of_smaller):
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 40], 1)
    scores = torch.rand(count, generator=generator)
    group = torch.randint(0, 4, (count,), generator=generator)
    kept = suppress(boxes, scores, group, 0.5, of_smaller=of_smaller).tolist()
    wanted = []
    for g in group.unique():
        members = (group == g).nonzero()[:, 0]
        wanted += [int(members[k]) for k in greedy(boxes[members], scores[members], 0.5, of_smaller)]
    assert kept == wanted


def test_suppression_of_nothing():
    nothing = torch.zeros(0, 4)
    assert suppress(nothing, nothing[:, 0], nothing[:, 0].long(), 0.5).tolist() == []


def test_chains_keep_the_third():
    # Each overlaps the next; greedily the first goes, the second falls, and the third is free again.
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress(boxes, scores, torch.zeros(3, dtype=torch.int64), 0.3).tolist() == [0, 2]


def test_arithmetic():
    box = torch.tensor([[10.0, 20, 30, 60]])
    assert squared(box).tolist() == [[0, 20, 40, 60]]
    assert shifted(box, torch.tensor([[0.1, 0.1, -0.1, 0]])).tolist() == [[12, 24, 28, 60]]
    assert float(overlap(box, box)) == 1
    assert float(overlap(box, box + 100)) == 0

"""SAM 2's losses, against sums made by hand."""

import math

import pytest
import torch

from stream.training.losses import dice_loss, entropy_loss, iou, losses


def square(size: int = 8) -> torch.Tensor:
    truth = torch.zeros(1, size, size)
    truth[:, 2:6, 2:6] = 1
    return truth


def test_a_right_mask_costs_next_to_nothing() -> None:
    truth = square()
    logits = (truth[:, None] * 2 - 1) * 20
    found = losses(logits, torch.ones(1, 1), torch.full((1, 1), 20.0), truth)
    assert float(found.total) < 1e-3


def test_entropy_and_dice_are_their_formulas() -> None:
    target = torch.tensor([[[[1.0, 0.0]]]])
    logits = torch.zeros(1, 1, 1, 2)
    assert float(entropy_loss(logits, target)) == pytest.approx(math.log(2))
    assert float(dice_loss(logits, target)) == pytest.approx(1 - (2 * 0.5 + 1) / (1.0 + 1.0 + 1))


def test_only_the_best_candidate_is_taught_its_mask() -> None:
    truth = square()
    good = (truth * 2 - 1) * 3
    logits = torch.stack([good, -good, torch.zeros_like(good)], dim=1).requires_grad_()
    found = losses(logits, torch.full((1, 3), 0.5), torch.zeros(1, 1), truth)
    (gradient,) = torch.autograd.grad(found.entropy + found.dice, logits)
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1:].abs().sum() == 0


def test_all_candidates_are_taught_their_iou() -> None:
    truth = square()
    good = (truth * 2 - 1) * 3
    ious = torch.tensor([[0.2, 0.7]], requires_grad=True)
    found = losses(torch.stack([good, -good], dim=1), ious, torch.zeros(1, 1), truth)
    assert float(found.iou.detach()) == pytest.approx((0.8 + 0.7) / 2)


def test_an_absent_object_is_taught_its_score_only() -> None:
    truth = torch.cat([torch.zeros(1, 8, 8), square()])
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    score = torch.zeros(2, 1, requires_grad=True)
    found = losses(logits, torch.zeros(2, 1), score, truth)
    masks, scores = torch.autograd.grad(found.total, (logits, score))
    assert masks[0].abs().sum() == 0
    assert masks[1].abs().sum() > 0
    assert scores[0] > 0 > scores[1]


def test_nothing_present_still_has_a_gradient_of_zero() -> None:
    logits = torch.randn(1, 3, 8, 8, requires_grad=True)
    score = torch.full((1, 1), 3.0, requires_grad=True)
    found = losses(logits, torch.zeros(1, 3), score, torch.zeros(1, 8, 8))
    found.total.backward()
    assert torch.isfinite(found.total)
    assert logits.grad is not None
    assert not logits.grad.any()
    assert float(found.score.detach()) == pytest.approx(math.log1p(math.exp(3.0)))


def test_iou_counts_cells_above_zero() -> None:
    truth = square()[:, None]
    half = torch.full_like(truth, -1.0)
    half[..., 2:6, 2:4] = 1
    assert float(iou(half, truth)) == pytest.approx(0.5)

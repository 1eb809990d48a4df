"""SAM 2's losses (arXiv 2408.00714, appendix D.2.1) with one change: cross entropy and dice for
masks, L1 for the IoU estimate, cross entropy for the object score, weighted 2 : 1 : 1 : 1.

SAM 2 has focal loss, 20 times, where this has plain cross entropy. In training as short as ours
it empties every mask that the model is unsure of, and none comes back (docs/model.md).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ENTROPY_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the objects of one decoding; scalars with a gradient."""

    entropy: Tensor
    dice: Tensor
    iou: Tensor
    score: Tensor

    @property
    def total(self) -> Tensor:
        return ENTROPY_WEIGHT * self.entropy + self.dice + self.iou + self.score


def losses(logits: Tensor, ious: Tensor, score: Tensor, truth: Tensor) -> Losses:
    """Of one decoding of N objects into M candidate masks.

    logits: [N, M, h, w], before the object score has emptied any; ious: [N, M]; score: [N, 1];
    truth: coverage of each cell, 0 to 1, float32 [N, H, W] with H, W multiples of h, w. Of the
    candidates only the best is taught its mask, and only where there is an object to be seen;
    all are taught their IoU.
    """
    present = truth.flatten(1).amax(1) > 0
    score_loss = F.binary_cross_entropy_with_logits(score.float()[:, 0], present.float())
    if not present.any():
        nothing = logits.sum() * 0.0
        return Losses(nothing, nothing, nothing, score_loss)
    truth = truth[present]
    logits = F.interpolate(
        logits[present].float(), size=truth.shape[-2:], mode="bilinear", align_corners=False
    )
    target = truth[:, None].expand_as(logits)
    entropy, dice = entropy_loss(logits, target), dice_loss(logits, target)
    best = (ENTROPY_WEIGHT * entropy + dice).argmin(dim=1, keepdim=True)
    iou_loss = (ious[present].float() - iou(logits, target)).abs().mean()
    entropy, dice = entropy.gather(1, best).mean(), dice.gather(1, best).mean()
    return Losses(entropy, dice, iou_loss, score_loss)


def entropy_loss(logits: Tensor, target: Tensor) -> Tensor:
    """[N, M] of logits and coverages [N, M, H, W]."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return entropy.mean(dim=(2, 3))


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """[N, M] of logits and coverages [N, M, H, W]."""
    probability = logits.sigmoid()
    common = (probability * target).sum(dim=(2, 3))
    total = probability.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return 1 - (2 * common + 1) / (total + 1)


@torch.no_grad()
def iou(logits: Tensor, target: Tensor) -> Tensor:
    """[N, M], 0 to 1, of the binary masks."""
    found, truth = logits > 0, target > 0.5
    common = (found & truth).sum(dim=(2, 3))
    union = (found | truth).sum(dim=(2, 3))
    return common / union.clamp(min=1)

"""A mean of two checkpoints: what a later stretch won, without all that it forgot.

    python -m stream.training.mix BEFORE.pt AFTER.pt --share 0.7 --out nano.pt

Both must be of one model. Choose the share on the validation pictures (arXiv 2109.01903).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def mix(before: Weights, after: Weights, share: float) -> dict[str, Tensor]:
    """share: of `after`, 0 to 1. What is no floating-point number is taken from `after`. Raises
    ValueError when they are not of one model."""
    if before.keys() != after.keys():
        raise ValueError("the checkpoints have different weights; they are of two models")
    return {
        name: torch.lerp(before[name].float(), new.float(), share).to(new.dtype)
        if new.is_floating_point()
        else new
        for name, new in after.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the mean of two checkpoints.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of AFTER, 0 to 1")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if not 0 <= given.share <= 1:
        parser.error(f"--share is {given.share}; wanted 0 to 1")
    before, after = (torch.load(p, "cpu", weights_only=True) for p in (given.before, given.after))
    after["model"] = mix(before["model"], after["model"], given.share)
    torch.save(after, given.out)


if __name__ == "__main__":
    main()

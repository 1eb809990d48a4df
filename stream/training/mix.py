"""A mean of two checkpoints: what a later stretch won, without all that it forgot.

    python -m stream.training.mix BEFORE.pt AFTER.pt --share 0 0.5 0.7 1 --data DIR
    python -m stream.training.mix BEFORE.pt AFTER.pt --share 0.7 --out nano.pt

Both must be of one model. The first compares shares on the validation pictures, the second writes
the mean that was chosen (arXiv 2109.01903).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stream.training.checkpoint import nano_model
from stream.training.validation import Validation

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


def compare(before: Path, after: Path, shares: Sequence[float], data: Path, part: float) -> None:
    """Print how good each mean is on the validation pictures below `data`, a line of JSON each.

    part: share of those pictures.
    """
    model = nano_model(after)
    validation = Validation(data, model.image_size, part)
    old, new = (nano_model(path).state_dict() for path in (before, after))
    for share in shares:
        model.load_state_dict(mix(old, new, share))
        print(json.dumps({"share": share, **validation.measure(model)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the mean of two checkpoints.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--share", type=float, nargs="+", default=[0.5], help="of AFTER, 0 to 1; several to compare"
    )
    parser.add_argument("--out", type=Path, help="where the mean goes")
    parser.add_argument("--data", type=Path, help="the pictures to compare the means on")
    parser.add_argument("--part", type=float, default=1.0, help="of those, to be quicker")
    given = parser.parse_args()
    for share in given.share:
        if not 0 <= share <= 1:
            parser.error(f"--share is {share}; wanted 0 to 1")
    if not (given.out or given.data):
        parser.error("nothing to do: give --out FILE, or --data DIR to compare")
    if given.out and len(given.share) > 1:
        parser.error("--out takes one mean; give one --share")
    if given.data:
        compare(given.before, given.after, given.share, given.data, given.part)
    if given.out:
        before, after = (
            torch.load(path, "cpu", weights_only=True) for path in (given.before, given.after)
        )
        after["model"] = mix(before["model"], after["model"], given.share[0])
        torch.save(after, given.out)


if __name__ == "__main__":
    main()

"""How good the edges are that a viewer sees: with our matte and flow, and without.

Ground-truth masks of DAVIS, degraded as the model degrades them (96 x 96 logits that rise by 0.1 a
pixel of 480p and are off by a few pixels, another few on every picture; one to four pictures
late), go through the compositor's matting (with), and through plain enlargement (without).

Of the clips in alphabetical order every other one is for choosing parameters (`--tune`), the rest
are reported: F_with and the others are means over clips that no parameter was chosen on.

F: DAVIS's boundary measure at full resolution, higher is better. flicker: mean change of opacity
(0 to 1) along the flow where the ground truth is still, within EDGE pixels of its edge, lower is
better.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import davis, machine
from stream.compose import matting, refine
from stream.compose.flow import positions
from stream.compose.matte import matte
from stream.compose.matting import Matting
from stream.compose.planes import Plane, Planes, halve

QUICK_CLIPS, QUICK_FRAMES = 3, 24

TUNED: dict[tuple[Any, str], tuple[float, ...]] = {
    (matting, "RAMP"): (0.5, 0.65, 0.8),
    (matting, "BAND"): (4, 5, 6),
    (matting, "STEADY"): (0.8, 0.85, 0.9),
    (matting, "AGREES"): (0.5, 0.8, 1.2),
    (refine, "CONTRAST"): (0.01, 0.015, 0.02),
    (refine, "GUIDE_RADIUS"): (1, 2, 3),
}
"""What `--tune` tries, one parameter at a time, by F less flicker."""

KEYS = ("F_with", "F_without", "flicker_with", "flicker_without")
LAGS = (1, 2, 3, 4)
CELLS = 96
LOGIT_PER_PIXEL = 0.1
NOISE, NOISE_CELLS = 0.35, 12
EDGE = 20

Logits = NDArray[np.float32]
Opacity = Callable[[Planes, Logits, int, int], Plane]
"""From a picture, late logits, the picture's index and that of theirs, to uint8 [H, W]."""


@dataclass(frozen=True, slots=True)
class Example:
    """One picture. back: absolute positions in the picture before it, float32 [H, W, 2]."""

    picture: Planes
    truth: NDArray[np.bool_]
    back: NDArray[np.float32]
    still: NDArray[np.bool_]


def degraded(truth: NDArray[np.bool_], random: np.random.Generator) -> Logits:
    """What a tracker with cells of a 96th of the picture would say of it."""
    inside, outside = (
        cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) for mask in (truth, ~truth)
    )
    away = (inside - outside) * (854 / truth.shape[1])
    small = cv2.resize(away, (CELLS, CELLS), interpolation=cv2.INTER_AREA) * LOGIT_PER_PIXEL
    noise = random.normal(0, NOISE, (NOISE_CELLS, NOISE_CELLS)).astype(np.float32)
    wobble = cv2.resize(noise, (CELLS, CELLS), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(small, -8, 8) + wobble, np.float32)


def planes(rgb: NDArray[np.uint8]) -> Planes:
    y, cr, cb = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb))
    return Planes(y, halve(cb), halve(cr))


def examples(clip: davis.Clip) -> Iterator[Example]:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    former: tuple[Planes, NDArray[np.bool_]] | None = None
    for path, annotation in zip(clip.pictures, clip.annotations, strict=True):
        picture, truth = planes(davis.read_picture(path)), davis.read_mask(annotation)
        height, width = truth.shape
        back, still = positions(width, height), np.zeros_like(truth)
        if former is not None:
            back = back + dis.calc(picture.y, former[0].y, None)
            before = carried(former[1].astype(np.float32), back)
            still = (np.abs(before - truth) < 0.02) & near_edge(truth)
        yield Example(picture, truth, back, still)
        former = picture, truth


def near_edge(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    square = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    mask = truth.astype(np.uint8)
    return cv2.dilate(mask, square) != cv2.erode(mask, square)


def carried(field: Logits, back: NDArray[np.float32]) -> Logits:
    return cv2.remap(field, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def ours() -> Opacity:
    matting = Matting()

    def opacity(picture: Planes, logits: Logits, index: int, mask_index: int) -> Plane:
        matting.see(picture, index)
        matting.learn(logits[None], mask_index)
        found = matting.cutout(None, logits, mask_index)
        if found is None:  # a cut is seen: nothing is shown
            return np.zeros_like(picture.y)
        return found.matte.luma

    return opacity


def plain() -> Opacity:
    return lambda picture, logits, _, __: matte(logits, *reversed(picture.y.shape))


def measure(clip: davis.Clip, opacities: list[Opacity]) -> list[tuple[float, float]]:
    """F and flicker of one clip, of each way to make a matte."""
    random = np.random.default_rng(0)
    logits: list[Logits] = []
    formers: list[NDArray[np.float32] | None] = [None] * len(opacities)
    figures: list[list[tuple[float, float]]] = [[] for _ in opacities]
    for index, example in enumerate(examples(clip)):
        logits.append(degraded(example.truth, random))
        mask_index = max(0, index - LAGS[index % len(LAGS)])
        for way, opacity in enumerate(opacities):
            luma = opacity(example.picture, logits[mask_index], index, mask_index)
            share = luma.astype(np.float32) / 255
            former = formers[way]
            if former is not None and index > max(LAGS) and example.still.any():
                change = np.abs(share - carried(former, example.back))[example.still]
                f = davis.boundary_accuracy(share > 0.5, example.truth)
                figures[way].append((f, float(change.mean())))
            formers[way] = share
    return [tuple(np.mean(found, axis=0).tolist()) for found in figures]


def figures(clips: Sequence[davis.Clip]) -> dict[str, dict[str, float]]:
    found = {}
    for clip in clips:
        (f, flicker), (plain_f, plain_flicker) = measure(clip, [ours(), plain()])
        values = (f, plain_f, flicker, plain_flicker)
        found[clip.name] = dict(zip(KEYS, (round(value, 4) for value in values), strict=True))
        print(clip.name.ljust(20), found[clip.name], file=sys.stderr)
    return found


def mean(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([clip[key] for clip in found.values()])), 4) for key in KEYS}


def tune(clips: Sequence[davis.Clip]) -> None:
    """Print what every value of each parameter gives, with all others as they are."""
    for (module, name), values in TUNED.items():
        present = getattr(module, name)
        for value in values:
            setattr(module, name, value)
            pairs = np.array([measure(clip, [ours()])[0] for clip in clips])
            f, flicker = pairs.mean(axis=0)
            sign = "*" if value == present else " "
            print(f"{name:14} {value:5}{sign} F {f:.4f} flicker {flicker:.4f} {f - flicker:.4f}")
        setattr(module, name, present)


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=davis.DATA, help="laid out as DAVIS is")
    parser.add_argument("--tune", action="store_true", help="try other parameters")
    options = parser.parse_args()
    try:
        clips = sorted(davis.clips(options.data), key=lambda clip: clip.name)
    except davis.DavisError as error:
        print(f"edges: {error}", file=sys.stderr)
        return 2
    if options.quick:
        clips = [clip.first(QUICK_FRAMES) for clip in clips]
    tuning, reported = clips[::2], clips[1::2]
    if options.tune:
        tune(tuning)
        return 0
    if options.quick:
        reported, tuning = reported[:QUICK_CLIPS], []
    found, tuned = figures(reported), figures(tuning)
    print({"reported": mean(found), "tuned_on": mean(tuned) if tuned else None})
    if options.json:
        machine.print_json(
            {**mean(found), "clips": found, "tuned_on": tuned, "quick": options.quick}
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

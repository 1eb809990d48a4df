"""What every effect costs: ms a picture, with flow and matte, and whole-picture copies.

At 480p, 720p and 1080p on one thread: a disc, a ninth of the picture; at 720p also somebody before
a webcam ("720p-near"), over a third of it, since costs go by the object's bounds. The mask of 96 x
96 is three pictures late and new with every third. Beside it, in the same run, the straightforward
way to do the same blend: RGB and back with a float blend in numpy (ratio_numpy) and in OpenCV
(ratio_opencv); ratios are theirs over ours, of medians.

stages: medians of ms a picture, each without those within it. guide: the picture at the grid's
size. flow: measured, and chained back to the mask's picture. mask: moved there. background:
learned, and set against the mask. colour lines: with the guided filter. enlarging: of coefficients
to the picture. effect: what it draws, and mixes. rest: of the call.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.stopwatch import Stopwatch
from stream.compose import compositor as compositing
from stream.compose import matting, spill
from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, Effect
from stream.compose.flow import Motion
from stream.compose.matting import Matting
from stream.compose.refine import Enlarger, Guide
from stream.compose.scenery import Scenery
from stream.frames import Masks

SIZES = {
    "480p": (854, 480),
    "720p": (1280, 720),
    "720p-near": (1280, 720),
    "1080p": (1920, 1080),
}
PICTURES, QUICK_PICTURES = 90, 24
PLAIN_PICTURES = 4
WARM_UP = 6
LAG = 3
SIDE = 96

STAGES: dict[str, tuple[tuple[Any, str], ...]] = {
    "guide": ((Guide, "of"),),
    "flow": ((Motion, "see"), (Motion, "back_to")),
    "mask": ((Matting, "cutout"),),
    "background": ((Scenery, "see"), (Scenery, "learn"), (Scenery, "corrected")),
    "colour lines": ((matting, "coefficients"),),
    "steadying": ((Matting, "_steadied"),),
    "enlarging": ((Enlarger, "opacity"),),
    "spill": ((spill, "remove"),),
    "effect": ((compositing, "draw"),),
    "rest": ((Compositor, "compose"),),
}
"""Name -> the functions that are timed, each less those within it."""


Inside = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""How far inside the object a point is, in shares of the picture's height; x and y likewise, from
the middle."""


def disc(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.float32(0.25) - np.hypot(x, y)


def person(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Head and shoulders."""
    head = (1 - np.hypot(x / 0.21, (y + 0.14) / 0.28)) * 0.24
    shoulders = (1 - np.hypot(x / 0.66, (y - 0.6) / 0.58)) * 0.6
    return np.maximum(head, shoulders).astype(np.float32)


def inside(
    shape: Inside, width: int, height: int, number: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Pixels of the picture, at `size`, of the object as it is on the picture `number`."""
    columns, rows = size
    x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * np.float32(width / columns)
    y = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) * np.float32(height / rows)
    x, y = np.meshgrid(x - width // 2 - 4 * number, y - height // 2)
    return shape(x / np.float32(height), y / np.float32(height)) * np.float32(height)


@lru_cache(maxsize=1)
def clip(shape: Inside, width: int, height: int) -> list[av.VideoFrame]:
    """A textured picture under slow camera motion, with an object that moves over it."""
    random = np.random.default_rng(0)
    field = random.integers(0, 256, (height // 8 + 8, width // 8 + 8, 3), np.uint8)
    ground = cv2.resize(field, (width + 64, height + 64), interpolation=cv2.INTER_CUBIC)
    ground = cv2.addWeighted(ground, 0.5, cv2.GaussianBlur(ground, (0, 0), 15), 0.5, 0)
    pictures = []
    for number in range(12):
        rgb = ground[number : number + height, number : number + width]
        opacity = np.clip(inside(shape, width, height, number, (width, height)) + 0.5, 0, 1)
        mixed = rgb + (np.array((220, 180, 150), np.float32) - rgb) * opacity[..., None]
        frame = av.VideoFrame.from_ndarray(mixed.astype(np.uint8), "rgb24")
        pictures.append(frame.reformat(format="yuv420p"))
    return pictures + pictures[-2:0:-1]  # back and forth, so that it can go on for ever


def masks(shape: Inside, width: int, height: int, index: int, number: int) -> Masks:
    at = number if number < 12 else 22 - number
    away = inside(shape, width, height, at, (SIDE, SIDE))
    logits = np.clip(away * 0.1, -8, 8).astype(np.float32)[None]
    ones = np.ones(1, np.float32)
    return Masks((1,), logits, 5 * ones, ones, index)


@contextmanager
def watched() -> Iterator[Stopwatch]:
    watch = Stopwatch()
    with ExitStack() as stack:
        for stage, functions in STAGES.items():
            for owner, name in functions:
                stack.enter_context(watch.timed(owner, name, stage))
        yield watch


@dataclass(frozen=True, slots=True)
class Run:
    """times: milliseconds of each picture. stages: of each and stage. copies: of the last."""

    times: list[float]
    stages: list[dict[str, float]]
    copies: int

    def stage(self, name: str) -> float:
        """Its median."""
        return float(np.median([stages.get(name, 0.0) for stages in self.stages]))


def ours(name: str, shape: Inside, width: int, height: int, count: int) -> Run:
    compositor = Compositor()
    still = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    used: Any = {"still": still, "clip": (np.stack([still[::2, ::2]] * 4), 10.0)}
    background = {"picture": "still", "video": "clip"}.get(name)
    compositor.set_effects((Effect(name, background=background),), used)
    pictures = clip(shape, width, height)
    times, stages = [], []
    with watched() as watch:
        for index in range(count + WARM_UP):
            picture = pictures[index % len(pictures)]
            picture.pts = index
            of = max(0, index // LAG * LAG - LAG)
            late = masks(shape, width, height, of, of % len(pictures))
            watch.times.clear()
            started = time.perf_counter()
            compositor.compose(picture, late, index, 0.1)
            times.append((time.perf_counter() - started) * 1000)
            stages.append({stage: 1000 * taken for stage, taken in watch.times.items()})
    return Run(times[WARM_UP:], stages[WARM_UP:], compositor.copies)


Blend = Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]


def numpy_blend(
    front: NDArray[np.uint8], back: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    share = alpha[..., None]
    return (front * share + back * (1 - share)).astype(np.uint8)


def opencv_blend(
    front: NDArray[np.uint8], back: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    return cv2.blendLinear(front, back, alpha, 1 - alpha)


def plain(blend: Blend, name: str, shape: Inside, width: int, height: int) -> float:
    """Median ms of RGB and back with a float blend; without flow, and with an unrefined matte."""
    still = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    picture = clip(shape, width, height)[0]
    logits = masks(shape, width, height, 0, 0).logits[0]
    times = []
    for _ in range(PLAIN_PICTURES + 1):
        started = time.perf_counter()
        rgb = picture.to_ndarray(format="rgb24")
        alpha = np.clip(cv2.resize(logits, (width, height)) + 0.5, 0, 1).astype(np.float32)
        back = still
        if name in ("blur", "erase"):
            back = cv2.GaussianBlur(rgb, (0, 0), height / 40)
        elif name == "pixelate":
            small = cv2.resize(rgb, (width // 64, height // 64), interpolation=cv2.INTER_AREA)
            back = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        av.VideoFrame.from_ndarray(blend(rgb, back, alpha), "rgb24").reformat(format="yuv420p")
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times[1:]))


def main() -> int:
    parser = machine.parser(__doc__)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    count = QUICK_PICTURES if options.quick else PICTURES
    found: dict[str, Any] = {}
    for label, (width, height) in SIZES.items():
        found[label] = {}
        shape = person if label.endswith("near") else disc
        baselines: dict[str, tuple[float, float]] = {}
        for name in EFFECTS:
            kind = name if name in ("blur", "erase", "pixelate") else "picture"
            if kind not in baselines:
                baselines[kind] = (
                    plain(numpy_blend, kind, shape, width, height),
                    plain(opencv_blend, kind, shape, width, height),
                )
            run = ours(name, shape, width, height, count)
            p50 = float(np.median(run.times))
            found[label][name] = {
                "p50": round(p50, 2),
                "p95": round(float(np.percentile(run.times, 95)), 2),
                "ratio_numpy": round(baselines[kind][0] / p50, 2),
                "ratio_opencv": round(baselines[kind][1] / p50, 2),
                "copies": run.copies,
                "stages": {stage: round(run.stage(stage), 2) for stage in STAGES},
            }
            print(label, name.ljust(11), found[label][name], file=sys.stderr)
    if options.json:
        machine.print_json({**found, "quick": options.quick})
    return 0


if __name__ == "__main__":
    sys.exit(main())

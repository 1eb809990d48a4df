"""Small objects: does a window of the picture around the object help, against a larger input?

    python -m benchmarks.window --json [--quick]

Made clips (stream.training.clips) of pictures never trained on, with a first mask of at most 1.5 %
of the picture as the prompt. Each variant tracks the same clips: the whole picture or a window
around the object, at an input of 256 or 384. The window is a square with context; when the object
comes near its border or grows out of its share, a new one is laid, and the memories of the first
and the newest frame are encoded again in it, which costs `steps` more.
"""

import random
import statistics
import sys
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.engine import graphs
from benchmarks.words import TRAIN
from stream.frames import Image
from stream.prompts import MaskPrompt
from stream.track.tracker import Tracker
from stream.training.clips import Clip, ClipMaker, Recipe
from stream.training.library import Library

SIDE = 768
"""Of the made pictures: a camera's height."""

FRAMES = 16
CLIPS, QUICK_CLIPS = 60, 6
SMALL = 0.015
SIZES = (256, 384)
CONTEXT = 3.0
"""The window's side as a multiple of the object's longer one."""

NARROWEST = 0.3
"""Of the picture's side: a window sees some of its surroundings whatever the object's size."""

BORDER = 0.1
"""Share of the window that the object keeps clear of, or a new one is laid."""

SHARES = (0.15, 0.65)
"""Of the window's side that the object's longer one may have."""

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Square:
    """Of the picture, in its pixels."""

    x: int
    y: int
    side: int

    def cut(self, picture: NDArray) -> NDArray:  # type: ignore[type-arg]
        return picture[self.y : self.y + self.side, self.x : self.x + self.side]

    def fits(self, box: tuple[int, int, int, int]) -> bool:
        x, y, width, height = box
        border = BORDER * self.side
        clear = (
            (x - self.x >= border or self.x == 0)
            and (y - self.y >= border or self.y == 0)
            and (self.x + self.side - x - width >= border or self.x + self.side == SIDE)
            and (self.y + self.side - y - height >= border or self.y + self.side == SIDE)
        )
        share = max(width, height) / self.side
        return (
            clear
            and (share >= SHARES[0] or self.side <= NARROWEST * SIDE)
            and (share <= SHARES[1] or self.side == SIDE)
        )


WHOLE = Square(0, 0, SIDE)


def around(box: tuple[int, int, int, int]) -> Square:
    x, y, width, height = box
    side = min(SIDE, round(max(CONTEXT * max(width, height), NARROWEST * SIDE)))
    middle_x, middle_y = x + width / 2, y + height / 2
    left = min(max(0, round(middle_x - side / 2)), SIDE - side)
    top = min(max(0, round(middle_y - side / 2)), SIDE - side)
    return Square(left, top, side)


@dataclass(slots=True)
class Run:
    """What one variant gave: J of each frame where the object is there, and what it took."""

    js: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    steps: int = 0


class Follower:
    """Tracks one object through a clip, in the whole picture or in a window."""

    def __init__(self, tracker: Tracker, windowed: bool, run: Run) -> None:
        self._tracker, self._windowed, self._run = tracker, windowed, run
        self._index = 0

    def begin(self, rgb: Rgb, mask: Mask) -> None:
        self._tracker.reset()
        self._first = self._newest = (rgb, mask)
        self._square = around(cv2.boundingRect(mask.astype(np.uint8))) if self._windowed else WHOLE
        self._step(rgb, mask)

    def follow(self, rgb: Rgb) -> Mask:
        if self._windowed:
            box = cv2.boundingRect(self._newest[1].astype(np.uint8))
            if box[2] and not self._square.fits(box):
                self._lay(around(box))
        found = self._step(rgb)
        if found.any():
            self._newest = (rgb, found)
        return found

    def _lay(self, square: Square) -> None:
        """Move the window and encode the memories of kept frames again."""
        self._square = square
        self._tracker.reset()
        for rgb, mask in (self._first, self._newest):
            if square.cut(mask).any():
                self._step(rgb, mask)

    def _step(self, rgb: Rgb, mask: Mask | None = None) -> Mask:
        size = self._tracker.image_size
        seen = np.ascontiguousarray(
            cv2.resize(self._square.cut(rgb), (size, size), interpolation=cv2.INTER_AREA)
        )
        prompts = [] if mask is None else [MaskPrompt(1, self._square.cut(mask))]
        image = Image(seen, self._square.side, self._square.side, self._index)
        self._index += 1
        begin = time.perf_counter()
        masks = self._tracker.step(image, prompts)
        self._run.milliseconds.append(1000 * (time.perf_counter() - begin))
        self._run.steps += 1
        side = self._square.side
        logits = cv2.resize(masks.logits[0], (side, side), interpolation=cv2.INTER_LINEAR)
        found = np.zeros((SIDE, SIDE), bool)
        self._square.cut(found)[:] = logits > 0
        return found


def small_clips(count: int) -> list[Clip]:
    """One small object each."""
    rng = random.Random(7)
    recipe = Recipe(FRAMES, objects=1, pasted=0.4, leaving=0.2, cuts=0.0)
    maker = ClipMaker(Library(TRAIN, "validation"), recipe, rng, SIDE)
    clips: list[Clip] = []
    while len(clips) < count:
        clip = maker.make()
        if clip.masks[0, 0].mean() <= SMALL:
            clips.append(clip)
    return clips


def follow(tracker: Tracker, clip: Clip, windowed: bool, run: Run) -> None:
    follower = Follower(tracker, windowed, run)
    follower.begin(clip.frames[0], clip.masks[0, 0])
    for rgb, truth in zip(clip.frames[1:], clip.masks[0, 1:], strict=True):
        found = follower.follow(rgb)
        if truth.any():
            run.js.append(np.count_nonzero(found & truth) / np.count_nonzero(found | truth))


def main() -> None:
    options = machine.parser(__doc__).parse_args()
    clips = small_clips(QUICK_CLIPS if options.quick else CLIPS)
    trackers = {size: Tracker(graphs(size)) for size in SIZES}
    runs: dict[str, Run] = {}
    for clip in tqdm(clips, "clips", file=sys.stderr):
        for size, tracker in trackers.items():
            for name, windowed in (("whole", False), ("window", True)):
                follow(tracker, clip, windowed, runs.setdefault(f"{name}@{size}", Run()))
    frames = FRAMES * len(clips)
    result = {
        name: {
            "J": round(float(np.mean(run.js)), 4),
            "steps_per_frame": round(run.steps / frames, 3),
            "ms_per_frame": round(statistics.median(run.milliseconds) * run.steps / frames, 1),
        }
        for name, run in runs.items()
    }
    if options.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:12} {value}")


if __name__ == "__main__":
    main()

"""Small objects: does the tracker's window help, against the whole picture and a larger input?

    python -m benchmarks.window --json [--quick]

Made clips (stream.training.clips) of pictures never trained on, with an object of at most 1.5 % of
the first picture, which is given by its mask or by a click in its middle. Each variant tracks the
same clips: the whole picture or a window (stream.track.window), at an input of 256 or 384.
"""

import random
import statistics
import sys
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import machine
from benchmarks.engine import graphs
from benchmarks.words import TRAIN
from stream.frames import Image
from stream.prompts import MaskPrompt, Point, Prompt
from stream.track.tracker import Tracker
from stream.training.clips import Clip, ClipMaker, Recipe
from stream.training.library import Library
from stream.training.prompting import click_in

SIDE = 768
"""Of the made pictures: a camera's height."""

FRAMES = 16
CLIPS, QUICK_CLIPS = 60, 6
SMALL = 0.015
SIZES = (256, 384)
PROMPTS = ("mask", "click")


@dataclass(slots=True)
class Run:
    """What one variant gave: J of each frame where the object is there, and how long steps took."""

    js: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


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


def follow(tracker: Tracker, clip: Clip, prompt: str, run: Run) -> None:
    tracker.reset()
    size = tracker.image_size
    for index, (rgb, truth) in enumerate(zip(clip.frames, clip.masks[0], strict=True)):
        seen = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
        prompts: list[Prompt] = []
        if index == 0 and prompt == "mask":
            prompts = [MaskPrompt(1, truth)]
        elif index == 0:
            prompts = [Point(1, *click_in(truth, None))]
        begin = time.perf_counter()
        masks = tracker.step(Image(seen, SIDE, SIDE, index), prompts)
        run.seconds.append(time.perf_counter() - begin)
        found = cv2.resize(masks.logits[0], (SIDE, SIDE)) > 0
        if index and truth.any():
            run.js.append(np.count_nonzero(found & truth) / np.count_nonzero(found | truth))


def main() -> None:
    options = machine.parser(__doc__).parse_args()
    clips = small_clips(QUICK_CLIPS if options.quick else CLIPS)
    networks = {size: graphs(size) for size in SIZES}
    runs: dict[str, Run] = {}
    for clip in tqdm(clips, "clips", file=sys.stderr):
        for size, network in networks.items():
            for windowed in (False, True):
                tracker = Tracker(network, windowed=windowed)
                for prompt in PROMPTS:
                    name = f"{prompt}, {'window' if windowed else 'whole'}@{size}"
                    follow(tracker, clip, prompt, runs.setdefault(name, Run()))
    result = {
        name: {
            "J": round(float(np.mean(run.js)), 4),
            "ms_per_frame": round(1000 * statistics.mean(run.seconds), 1),
            "ms_median": round(1000 * statistics.median(run.seconds), 1),
        }
        for name, run in runs.items()
    }
    if options.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:20} {value}")


if __name__ == "__main__":
    main()

"""Is our tracker equal to the official SAM2VideoPredictor? Logits, frame by frame.

    python -m benchmarks.parity [--json] [--quick]

Every scenario runs on the embedded model's torch weights and on a SAM 2.1-tiny with seeded
random weights at input size 256; that one also at 512 and 1024, with a few frames of some. The
official tiny is built by its own package. The goal is a difference of at most 1e-4 in float32.
The size of the logits stands beside it: a difference means nothing without. So does the number of
frames on which the object is hidden: there, all logits are -1024 on both sides.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks import machine, random_sam
from benchmarks.davis import DATA, Clip, clips, read_mask, read_picture
from benchmarks.official import Logits, OfficialStream
from stream.frames import Image, Masks
from stream.prompts import Box, MaskPrompt, Point, Prompt
from stream.track.networks.base import HIDDEN_LOGIT
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Compat, Tracker
from stream.training.checkpoint import nano_model

FRAMES = 30
QUICK_FRAMES = 20
TINY = {
    256: (FRAMES, ()),
    512: (6, ("click and corrections", "mask")),
    1024: (3, ("click and corrections",)),
}
"""Input size -> frames, scenarios (none named: all). A frame at 1024 takes ten seconds on two
cores, twice."""

QUICK_TINY = {
    256: (QUICK_FRAMES, ("click and corrections", "two objects", "leaves and returns")),
    512: (3, ("click and corrections",)),
}


@dataclass(frozen=True)
class Scenario:
    """prompts: frame index -> calls, each the prompts of one object.

    away: frames on which the camera is covered: black pictures.
    sticky: corrections become conditioning frames (our `live`, the official predictor's
    add_all_frames_to_correct_as_cond).
    """

    prompts: dict[int, list[list[Prompt]]]
    away: range = field(default_factory=lambda: range(0))
    sticky: bool = False


@dataclass
class Result:
    """worst: the largest difference of logits over all frames and objects.

    sizes: mean size of the logits of each frame on which not all is hidden.
    scores: object 1's score on each frame.
    """

    worst: float = 0.0
    sizes: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def mean_logit(self) -> float:
        return float(np.mean(self.sizes)) if self.sizes else 0.0

    @property
    def hidden(self) -> int:
        return sum(score <= 0 for score in self.scores)


def scenarios(clip: Clip) -> dict[str, Scenario]:
    """What must be equal; coordinates fit the DAVIS clip `dog`."""
    mask = read_mask(clip.annotations[0])
    ys, xs = np.nonzero(mask)
    x, y = float(np.median(xs)), float(np.median(ys))
    tight = (float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1)
    later_ys, later_xs = np.nonzero(read_mask(clip.annotations[15]))
    correction = Point(1, float(np.median(later_xs)), float(np.median(later_ys)))
    beside = Point(1, 40.0, 40.0, positive=False)
    click = Point(1, x, y)
    return {
        "one click": Scenario({0: [[click]]}),
        "click and corrections": Scenario({0: [[click], [beside], [Point(1, x + 20, y + 10)]]}),
        "two points at once": Scenario({0: [[click, beside]]}),
        "box": Scenario({0: [[Box(1, *tight)]]}),
        "box, then a click": Scenario({0: [[Box(1, *tight)], [beside]]}),
        "mask": Scenario({0: [[MaskPrompt(1, mask)]]}),
        "two objects": Scenario({0: [[click], [Point(2, 700.0, 60.0)]]}),
        "object added at frame 10": Scenario({0: [[click]], 10: [[Box(2, 600, 20, 800, 200)]]}),
        "correction at frame 15": Scenario({0: [[click]], 15: [[correction], [beside]]}),
        "correction that sticks": Scenario({0: [[click]], 15: [[correction]]}, sticky=True),
        "leaves and returns": Scenario({0: [[MaskPrompt(1, mask)]]}, away=range(8, 18)),
    }


def images(clip: Clip, scenario: Scenario, size: int, count: int) -> list[Image]:
    """The scenario's pictures as a network of that input size sees them."""
    pictures = []
    for index, path in enumerate(clip.pictures[:count]):
        picture = read_picture(path)
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        if index in scenario.away:
            small = np.zeros_like(small)
        pictures.append(Image(np.asarray(small, np.uint8), width, height, index))
    return pictures


def compare(
    model: SAM2VideoPredictor, network: Sam2Network, scenario: Scenario, pictures: Sequence[Image]
) -> Result:
    """Run the official predictor and our tracker side by side.

    model, network: with the same weights, and at the pictures' size.
    """
    model.add_all_frames_to_correct_as_cond = scenario.sticky
    official = OfficialStream(model, pictures)
    compat: Compat = "live" if scenario.sticky else "official"
    tracker = Tracker(network, compat)
    result = Result()
    for image in pictures:
        masks = tracker.step(image)
        _note(result, masks, official.advance(image.index), image)
        for call in scenario.prompts.get(image.index, []):
            masks = tracker.prompt(call)
            _note(result, masks, official.prompt(image.index, call), image)
        result.scores.append(float(masks.scores[0]))
    return result


def _note(result: Result, masks: Masks, official: Logits, image: Image) -> None:
    assert set(masks.object_ids) == set(official)
    if not official:
        return
    ours = F.interpolate(
        torch.from_numpy(masks.logits)[:, None],
        (image.height, image.width),
        mode="bilinear",
        align_corners=False,
    )[:, 0].numpy()
    for i, id in enumerate(masks.object_ids):
        result.worst = max(result.worst, float(np.abs(ours[i] - official[id]).max()))
    if (seen := ours[ours != HIDDEN_LOGIT]).size:
        result.sizes.append(float(np.abs(seen).mean()))


def runs(clip: Clip, quick: bool) -> Iterator[tuple[str, Result]]:
    """Every line of the table: its name, and what came out."""
    nano = nano_model(cls=SAM2VideoPredictor)
    assert isinstance(nano, SAM2VideoPredictor)
    frames = QUICK_FRAMES if quick else FRAMES
    yield from _lines("nano", nano, Sam2Network(nano), clip, frames, scenarios(clip))
    for size, (frames, titles) in (QUICK_TINY if quick else TINY).items():
        model, network = random_sam.official(size), random_sam.ours(size)
        name = f"random sam2.1-tiny@{size}"
        yield from _lines(name, model, network, clip, frames, titles or scenarios(clip))


def _lines(
    name: str,
    model: SAM2VideoPredictor,
    network: Sam2Network,
    clip: Clip,
    frames: int,
    titles: Iterable[str],
) -> Iterator[tuple[str, Result]]:
    for title in titles:
        scenario = scenarios(clip)[title]
        pictures = images(clip, scenario, model.image_size, frames)
        yield f"{name}: {title}", compare(model, network, scenario, pictures)


def table(results: dict[str, Result]) -> str:
    width = max(map(len, results))
    lines = [f"{'scenario':<{width}}  max diff  mean |logit|  frames  hidden"]
    for name, result in results.items():
        lines.append(
            f"{name:<{width}}  {result.worst:8.1e}  {result.mean_logit:12.2f}"
            f"  {len(result.scores):6}  {result.hidden:6}"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = machine.parser(__doc__).parse_args()
    clip = clips(DATA, ["dog"])[0]
    with tqdm(unit=" scenarios", file=sys.stderr) as bar:
        results = {}
        for name, result in runs(clip, arguments.quick):
            results[name] = result
            bar.set_description(name)
            bar.update()
    if arguments.json:
        machine.print_json(
            {
                "max_abs_diff": max(result.worst for result in results.values()),
                "scenarios": {name: result.worst for name, result in results.items()},
                "mean_abs_logit": {name: result.mean_logit for name, result in results.items()},
                "hidden_frames": {name: result.hidden for name, result in results.items()},
            }
        )
    else:
        print(table(results))


if __name__ == "__main__":
    main()

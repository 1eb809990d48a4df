"""Is our tracker equal to the official SAM2VideoPredictor? Logits, frame by frame.

    python -m benchmarks.parity --json [--quick]

Every scenario runs on the embedded model's torch weights and on a SAM 2.1-tiny with seeded
random weights at input size 256; the goal is a difference of at most 1e-4 in float32.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks import machine
from benchmarks.davis import DATA, Clip, clips, read_mask, read_picture
from benchmarks.official import Logits, OfficialStream
from stream.frames import Image, Masks
from stream.prompts import Box, MaskPrompt, Point, Prompt
from stream.track.catalog import sam21_model
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Compat, Tracker
from stream.training.checkpoint import nano_model

FRAMES = 30


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


def difference(
    model: SAM2VideoPredictor, scenario: Scenario, pictures: Sequence[Image]
) -> tuple[float, list[float]]:
    """The largest difference of logits over all frames, and object 1's score on each frame."""
    model.add_all_frames_to_correct_as_cond = scenario.sticky
    official = OfficialStream(model, pictures)
    compat: Compat = "live" if scenario.sticky else "official"
    tracker = Tracker(Sam2Network(model), compat)
    worst, scores = 0.0, []
    for image in pictures:
        masks = tracker.step(image)
        worst = max(worst, _compare(masks, official.advance(image.index), image))
        for call in scenario.prompts.get(image.index, []):
            masks = tracker.prompt(call)
            worst = max(worst, _compare(masks, official.prompt(image.index, call), image))
        scores.append(float(masks.scores[0]))
    return worst, scores


def _compare(masks: Masks, official: Logits, image: Image) -> float:
    assert set(masks.object_ids) == set(official)
    if not official:
        return 0.0
    ours = F.interpolate(
        torch.from_numpy(masks.logits)[:, None],
        (image.height, image.width),
        mode="bilinear",
        align_corners=False,
    )[:, 0].numpy()
    return max(float(np.abs(ours[i] - official[id]).max()) for i, id in enumerate(masks.object_ids))


def models() -> dict[str, SAM2VideoPredictor]:
    return {
        "nano": nano_model(cls=SAM2VideoPredictor),
        "random sam2.1-tiny@256": sam21_model("sam2.1-tiny", 256, SAM2VideoPredictor, seed=0),
    }


def main() -> None:
    arguments = machine.parser(__doc__).parse_args()
    count = 20 if arguments.quick else FRAMES
    clip = clips(DATA, ["dog"])[0]
    found: dict[str, float] = {}
    for model_name, model in models().items():
        for name, scenario in tqdm(scenarios(clip).items(), model_name, file=sys.stderr):
            pictures = images(clip, scenario, model.image_size, count)
            found[f"{model_name}: {name}"], _ = difference(model, scenario, pictures)
    if arguments.json:
        machine.print_json({"max_abs_diff": max(found.values()), "scenarios": found})
    else:
        for name, worst in found.items():
            print(f"{worst:.1e}  {name}")


if __name__ == "__main__":
    main()

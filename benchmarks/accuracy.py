"""How well the tracker follows one object through the clips of DAVIS-2016.

The first frame's annotation gives the prompt: the mask itself, one click, or a box; or a word is
the prompt (--text), for all that it names. J, F and their mean JF are means over the clips, 0 to
1, higher is better.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import davis, machine, sheet
from stream.errors import SegstreamError
from stream.frames import Frame, Image
from stream.prompts import Box, MaskPrompt, Point, Prompt, Text
from stream.track import catalog
from stream.track.tracker import Tracker

QUICK_CLIPS = 2
QUICK_FRAMES = 20

OBJECT = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What one clip gave; `seconds` are those spent in the tracker, for `steps` calls of it."""

    name: str
    j: float
    f: float
    steps: int
    seconds: float
    tiles: tuple[NDArray[np.uint8], ...]


def mask_prompt(mask: NDArray[np.bool_]) -> MaskPrompt:
    return MaskPrompt(OBJECT, mask)


def click(mask: NDArray[np.bool_]) -> Point:
    """A click on the middle of the pixel that lies farthest from the mask's border."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(np.argmax(inside), inside.shape)
    return Point(OBJECT, float(x) + 0.5, float(y) + 0.5)


def box(mask: NDArray[np.bool_]) -> Box:
    """The smallest rectangle around the mask."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Box(OBJECT, x, y, x + width, y + height)


MakePrompt = Callable[[NDArray[np.bool_]], Prompt]

PROMPTS: dict[str, MakePrompt] = {
    "mask": mask_prompt,
    "click": click,
    "box": box,
}


def image(rgb: NDArray[np.uint8], index: int, size: int) -> Image:
    """The picture as the network sees it, made in the way that live frames are."""
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    return Frame(picture, index, pts=index, time_base=Fraction(1, 24)).image(size)


def full_size(logits: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """bool [height, width]: the decoder's logits [S/4, S/4], bilinear, above 0."""
    return cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR) > 0


def track(
    tracker: Tracker,
    clip: davis.Clip,
    make_prompt: MakePrompt,
    progress: tqdm,  # type: ignore[type-arg]
) -> Result:
    """Follow the object of one clip, from the prompt that its first annotation makes."""
    tracker.reset()
    scores: list[tuple[float, float]] = []
    tiles: list[NDArray[np.uint8]] = []
    shown = sheet.pick(len(clip))
    seconds = 0.0
    for index, (picture, annotation) in enumerate(
        zip(clip.pictures, clip.annotations, strict=True)
    ):
        rgb, truth = davis.read_picture(picture), davis.read_mask(annotation)
        seen = image(rgb, index, tracker.image_size)
        prompts = [make_prompt(truth)] if index == 0 else []
        started = time.perf_counter()
        masks = tracker.step(seen, prompts)
        seconds += time.perf_counter() - started
        found = full_size(masks.logits[masks.object_ids.index(OBJECT)], seen.width, seen.height)
        j, f = davis.region_similarity(found, truth), davis.boundary_accuracy(found, truth)
        scores.append((j, f))
        if index in shown:
            tiles.append(sheet.tile(rgb, found, truth, f"{clip.name} {index}  J {j:.2f} F {f:.2f}"))
        progress.update()
    j, f = davis.score(scores)
    return Result(clip.name, j, f, len(clip), seconds, tuple(tiles))


def summary(results: list[Result]) -> dict[str, Any]:
    """J and F as means over the clips, and the tracker's pace over all their frames."""
    j = float(np.mean([result.j for result in results]))
    f = float(np.mean([result.f for result in results]))
    steps = sum(result.steps for result in results)
    return {
        "J": round(j, 4),
        "F": round(f, 4),
        "JF": round((j + f) / 2, 4),
        "clips": {r.name: {"J": round(r.j, 4), "F": round(r.f, 4)} for r in results},
        "frames": steps,
        "steps_per_s": round(steps / sum(result.seconds for result in results), 2),
    }


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--prompt", choices=PROMPTS, default="mask", help="on the first frame")
    parser.add_argument("--text", metavar="WORD", help="the prompt instead")
    parser.add_argument(
        "--data", type=Path, default=davis.DATA, help="a folder laid out as DAVIS is"
    )
    parser.add_argument("--clips", default="", help="names, comma-separated; all when left out")
    parser.add_argument("--model", default="nano", help="one of stream.track.catalog")
    parser.add_argument("--weights", type=Path, help="instead of the model's own")
    parser.add_argument("--sheet", type=Path, help="write a PNG with four frames of every clip")
    options = parser.parse_args()
    make_prompt = PROMPTS[options.prompt]
    if options.text:
        make_prompt = lambda _: Text(OBJECT, options.text)  # noqa: E731
    try:
        clips = davis.clips(options.data, [name for name in options.clips.split(",") if name])
        if options.quick:
            clips = [clip.first(QUICK_FRAMES) for clip in clips[:QUICK_CLIPS]]
        tracker = Tracker(catalog.load(options.model, weights=options.weights))
        with tqdm(total=sum(map(len, clips)), unit="frame", file=sys.stderr) as progress:
            results = [track(tracker, clip, make_prompt, progress) for clip in clips]
    except (davis.DavisError, SegstreamError) as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    if options.sheet:
        sheet.write(options.sheet, [result.tiles for result in results])
    found = summary(results)
    for name, clip in found["clips"].items():
        print(f"{name:20} J {clip['J']:.3f}  F {clip['F']:.3f}")
    print(f"{'mean':20} J {found['J']:.3f}  F {found['F']:.3f}  J&F {found['JF']:.3f}")
    if options.json:
        prompt = options.text or options.prompt
        described = {"prompt": prompt, "model": options.model, "quick": options.quick}
        machine.print_json({**found, **described})
    return 0


if __name__ == "__main__":
    sys.exit(main())

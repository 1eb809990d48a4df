"""What of the room is seen, and of the person hidden, because masks are late and the model errs?

    python -m benchmarks.late --json [--quick] [--tuning] [--sheet PNG]

People of the webcam clips, who sign, are cut out by the embedded model's own-time masks and laid
over still photographs with a camera's noise: so their true opacity is known, while their hands move
as hands do. The embedded model tracks them there anew by the word "person"; its masks are for every
other picture and come LATE pictures later. Each clip is played to and fro and once more, which is
measured: by then it is known what stands behind them.

room and hidden: opacity too much and too little, summed over the picture, in percent of the
person's area; far: of that, what is more than FAR pixels off the true edge. With our matting, with
(`with`) and without (`without`) what it learns of the background, and with masks that are not late
(`in_time`: without; what is left there is the model's). Of clips every other one is for choosing
parameters (`--tuning`); the rest is reported.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.davis import DATA
from benchmarks.edges import Logits, planes
from stream.compose.matting import Matting
from stream.compose.planes import Plane, Planes
from stream.frames import Frame
from stream.prompts import Text
from stream.track import catalog
from stream.track.tracker import Tracker
from stream.track.words import PERSON

ROOT = DATA.parents[1]
LATE, EVERY = 4, 2
FAR = 8
NOISE = 2.0
QUICK_CLIPS = 2
KEYS = ("room", "hidden", "room_far", "hidden_far")
GREEN = (60, 160, 40)

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scene:
    """opacity: uint8 [H, W] of each picture, as it is. logits: what the model says of each."""

    name: str
    pictures: list[Planes]
    opacity: list[Plane]
    logits: list[Logits]


def film(path: Path) -> list[Picture]:
    """RGB. Raises av.FFmpegError, OSError."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def tracked(tracker: Tracker, pictures: Sequence[Picture]) -> list[Logits]:
    tracker.reset()
    found = []
    for index, rgb in enumerate(pictures):
        frame = Frame(av.VideoFrame.from_ndarray(rgb, "rgb24"), index, index, Fraction(1, 30))
        prompts = [] if index else [Text(1, PERSON)]
        found.append(tracker.step(frame.image(tracker.image_size), prompts).logits[0])
    return found


def scene(name: str, people: list[Picture], behind: Picture, tracker: Tracker) -> Scene:
    random = np.random.default_rng(0)
    sources = [planes(rgb) for rgb in people]
    opacity = mattes(sources, tracked(tracker, people), range(len(people)), late=False)
    laid = []
    for rgb, share in zip(people, opacity, strict=True):
        alpha = share[..., None].astype(np.float32) / 255
        noise = random.normal(0, NOISE, rgb.shape).astype(np.float32)
        laid.append(np.clip(rgb * alpha + behind * (1 - alpha) + noise, 0, 255).astype(np.uint8))
    return Scene(name, [planes(rgb) for rgb in laid], opacity, tracked(tracker, laid))


def photograph(path: Path, height: int, width: int) -> Picture:
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise OSError(f"{path} is no picture")
    scale = max(width / bgr.shape[1], height / bgr.shape[0])
    large = cv2.resize(bgr, None, fx=scale, fy=scale)[:height, :width]
    return np.ascontiguousarray(large[..., ::-1])


def to_and_fro(count: int) -> list[int]:
    once = list(range(count))
    return [*once, *once[-2:0:-1], *once]


def mattes(
    pictures: Sequence[Planes],
    logits: Sequence[Logits],
    order: Sequence[int],
    late: bool = True,
    learns: bool = False,
) -> list[Plane]:
    """Of each picture in that order. learns: what stands behind."""
    matting, found = Matting(), []
    for now, number in enumerate(order):
        of = max(0, now - LATE) // EVERY * EVERY if late else now
        matting.see(pictures[number], now)
        if learns:
            matting.learn(logits[order[of]][None], of)
        cutout = matting.cutout(None, logits[order[of]], of)
        empty = np.zeros_like(pictures[number].y)  # a cut is seen: nothing is shown
        found.append(empty if cutout is None else cutout.matte.luma)
    return found


def errors(found: Plane, truth: Plane) -> list[float]:
    off = found.astype(np.float32) - truth
    inside, outside = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5)
        for side in (truth > 127, truth <= 127)
    )
    room, hidden = np.maximum(off, 0), np.maximum(-off, 0)
    parts = (room, hidden, room * (outside > FAR), hidden * (inside > FAR))
    return [100 * float(part.sum()) / max(float(truth.sum()), 1.0) for part in parts]


def measure(scene: Scene) -> tuple[dict[str, dict[str, float]], Picture]:
    """Errors in percent by way and kind, and the picture where learning changes most: the source,
    without and with it."""
    order = to_and_fro(len(scene.pictures))
    last = slice(len(order) - len(scene.pictures), None)
    ways = {
        "in_time": mattes(scene.pictures, scene.logits, order, late=False)[last],
        "without": mattes(scene.pictures, scene.logits, order)[last],
        "with": mattes(scene.pictures, scene.logits, order, learns=True)[last],
    }
    figures = {}
    for way, found in ways.items():
        each = [errors(*pair) for pair in zip(found, scene.opacity, strict=True)]
        means = np.mean(each, axis=0).round(3).tolist()
        figures[way] = dict(zip(KEYS, means, strict=True))
    apart = [cv2.absdiff(*pair).mean() for pair in zip(ways["without"], ways["with"], strict=True)]
    worst = int(np.argmax(apart))
    source = scene.pictures[worst]
    shown = [source, *(over_green(source, ways[way][worst]) for way in ("without", "with"))]
    return figures, np.hstack(
        [each if isinstance(each, np.ndarray) else bgr(each) for each in shown]
    )


def bgr(picture: Planes) -> Picture:
    size = picture.y.shape[::-1]
    u, v = (cv2.resize(plane, size) for plane in (picture.u, picture.v))
    return np.asarray(cv2.cvtColor(cv2.merge([picture.y, v, u]), cv2.COLOR_YCrCb2BGR), np.uint8)


def over_green(picture: Planes, opacity: Plane) -> Picture:
    share = opacity[..., None].astype(np.float32) / 255
    return (bgr(picture) * share + np.float32(GREEN) * (1 - share)).astype(np.uint8)


def mean(found: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        way: {key: round(float(np.mean([each[way][key] for each in found])), 3) for key in KEYS}
        for way in found[0]
    }


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT, help="with video and train in it")
    parser.add_argument("--tuning", action="store_true", help="the half to choose parameters on")
    parser.add_argument("--sheet", type=Path, help="write a PNG to look at")
    options = parser.parse_args()
    clips = sorted((options.data / "video" / "webcam").glob("*.mkv"))
    rooms = sorted((options.data / "train" / "backgrounds").glob("*.webp"))
    if len(clips) < 2 or not rooms:
        print(f"late: wanted video/webcam and train/backgrounds in {options.data}", file=sys.stderr)
        return 2
    rooms = rooms[:: max(1, len(rooms) // len(clips))]
    pairs = list(zip(clips, itertools.cycle(rooms), strict=False))[0 if options.tuning else 1 :: 2]
    if options.quick:
        pairs = pairs[:QUICK_CLIPS]
    tracker = Tracker(catalog.load())
    found, sheet = {}, []
    for path, room in tqdm(pairs, "clips", file=sys.stderr):
        people = film(path)
        made = scene(path.stem, people, photograph(room, *people[0].shape[:2]), tracker)
        found[path.stem], shown = measure(made)
        sheet.append(shown)
    result = mean(list(found.values()))
    for way, figures in result.items():
        print(way.ljust(8), figures)
    if options.sheet is not None and not cv2.imwrite(str(options.sheet), np.vstack(sheet)):
        print(f"late: cannot write {options.sheet}", file=sys.stderr)
        return 2
    if options.json:
        machine.print_json(
            {**result, "clips": found, "tuning": options.tuning, "quick": options.quick}
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draw docs/images/effects.jpg: every effect on a clip of a person at a webcam (CC BY 4.0).

The person is found by the word and tracked by the embedded model; masks are three pictures late,
as they are in a live stream. One row more shows an edge at 200 %, without and with the compositor's
matte and flow.
"""

import argparse
import itertools
import sys
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import davis, machine
from stream.compose import backgrounds
from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, Effect
from stream.compose.matte import Matte, matte
from stream.compose.planes import Planes, blend
from stream.frames import Frame, Masks
from stream.prompts import Text
from stream.track import catalog
from stream.track.tracker import Tracker

CLIP = davis.DATA.parents[1] / "video" / "webcam" / "help.mkv"
TARGET = machine.REPOSITORY / "docs" / "images" / "effects.jpg"
SHOWN, LAG = 40, 3
TILE = (427, 320)
COLUMNS = 4
BACKGROUND = "mountains"


def tracked(path: Path) -> tuple[list[av.VideoFrame], list[Masks]]:
    """The first pictures of a clip, and the person's masks on each."""
    tracker = Tracker(catalog.load("nano"))
    pictures, found = [], []
    with av.open(str(path)) as container:
        for index, picture in enumerate(itertools.islice(container.decode(video=0), SHOWN + 1)):
            image = Frame(picture, index, index, picture.time_base or 1).image(tracker.image_size)
            found.append(tracker.step(image, [] if index else [Text(1, "person")]))
            pictures.append(picture)
    return pictures, found


def effect(name: str) -> Effect:
    used = {"picture": BACKGROUND, "video": "clip"}.get(name)
    return Effect(name, 0.7 if name in ("desaturate", "spotlight") else 0.5, background=used)


def shown(name: str, pictures: list[av.VideoFrame], found: list[Masks]) -> NDArray[np.uint8]:
    """The last picture with an effect, after all before it have gone through: BGR uint8."""
    compositor = Compositor()
    video = np.stack([backgrounds.load(each)[::3, ::3] for each in (BACKGROUND, BACKGROUND)])
    known = {BACKGROUND: backgrounds.load(BACKGROUND), "clip": (video[:, :, ::-1].copy(), 1.0)}
    compositor.set_effects((effect(name),), known)
    for index, picture in enumerate(pictures):
        result = compositor.compose(picture, found[max(0, index - LAG)], index, LAG / 30)
    return result.to_ndarray(format="bgr24")


def naive(pictures: list[av.VideoFrame], found: list[Masks]) -> NDArray[np.uint8]:
    """Plain green behind an unmoved, unrefined mask."""
    picture = pictures[-1].reformat(format="yuv420p")
    source = Planes.of(picture)
    logits = found[len(pictures) - 1 - LAG].logits[0]
    keep = Matte.of(matte(logits, picture.width, picture.height))
    behind = Planes.flat((127, 90, 60), picture.width, picture.height)
    result = av.VideoFrame(picture.width, picture.height, "yuv420p")
    for front, back, alpha, out in zip(source, behind, keep.planes, Planes.of(result), strict=True):
        blend(front, back, alpha, out)
    return result.to_ndarray(format="bgr24")


def captioned(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    tile = cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA)
    cv2.rectangle(tile, (0, 0), (12 + 10 * len(text), 24), (0, 0, 0), -1)
    cv2.putText(tile, text, (6, 17), 0, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def close_up(picture: NDArray[np.uint8], masks: Masks) -> NDArray[np.uint8]:
    """Around the top of the object, at 200 %."""
    height, width = picture.shape[:2]
    inside = cv2.resize(masks.logits[0], (width, height)) > 0
    rows, columns = np.nonzero(inside)
    top, middle = int(rows.min()), int(columns[rows < rows.min() + 60].mean())
    top = max(0, min(top - 30, height - TILE[1] // 2))
    left = max(0, min(middle - TILE[0] // 4, width - TILE[0] // 2))
    part = picture[top : top + TILE[1] // 2, left : left + TILE[0] // 2]
    return cv2.resize(part, TILE, interpolation=cv2.INTER_CUBIC)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    if not options.clip.is_file():
        print(f"gallery: there is no {options.clip}", file=sys.stderr)
        return 2
    pictures, found = tracked(options.clip)
    tiles = [captioned(shown(name, pictures, found), name) for name in EFFECTS]
    ours, plain = shown("colour", pictures, found), naive(pictures, found)
    for text, picture in (("without, 200 %", plain), ("with, 200 %", ours)):
        tiles.append(captioned(close_up(picture, found[-1]), text))
    mask = shown("mask", pictures, found)
    tiles.append(captioned(close_up(mask, found[-1]), "matte, 200 %"))
    while len(tiles) % COLUMNS:
        tiles.append(np.zeros((TILE[1], TILE[0], 3), np.uint8))
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    if not cv2.imwrite(str(options.out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85]):
        print(f"gallery: cannot write {options.out}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

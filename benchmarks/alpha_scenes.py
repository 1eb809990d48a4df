"""Pictures whose true opacity is known: hair and fur laid over real video, moved in known ways.

A shutter is open for half of each picture, so what moves is blurred as a camera blurs it, and its
opacity with it. Cut-outs are photographs with an opacity of their own (`../shared/data`), every
other one held back; heads with loose hair are drawn, since none of the photographs has any.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.edges import planes
from stream.compose.planes import Planes

DATA = machine.REPOSITORY.parent / "shared" / "data"
CUTOUTS = ("078", "084", "090", "093", "095", "105", "114", "122", "138", "511", "519", "194")
"""Numbers of photographs: animals with fur, and at the end a digger, a balloon and grapes."""

KINDS = HAIR, PHOTOGRAPH = "hair", "photograph"

WIDTH, HEIGHT = 854, 480
SHUTTER, INSTANTS = 0.5, 8
NOISE = 2.0
"""Standard deviation of a camera's noise, in levels of 255."""

Floats = NDArray[np.float32]


class SceneError(Exception):
    """The pictures are not where they were said to be."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """pixels: float32 [h, w, 4], RGB (0 to 255) times opacity, and opacity (0 to 1)."""

    name: str
    kind: str
    pixels: Floats


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture. opacity: float32 [H, W]. wanted: the thing before the new background.
    speed: pixels a picture to the right."""

    picture: Planes
    opacity: Floats
    wanted: Planes
    speed: float


MOTIONS: dict[str, Callable[[float], float]] = {
    "still": lambda time: 200.0,
    "sway": lambda time: 200 + 14 * float(np.sin(time / 4)),
    "pan": lambda time: 100 + 6 * time,
    "quick": lambda time: 20 + 22 * time,
}
"""How far right the thing is, in pixels, by the picture's number."""


def shots(
    thing: Thing, motion: str, backdrop: list[NDArray[np.uint8]], new: NDArray[np.uint8]
) -> Iterator[Shot]:
    """backdrop: one RGB picture a shot. new: RGB, the background that is put behind."""
    where = MOTIONS[motion]
    random = np.random.default_rng(0)
    for number, behind in enumerate(backdrop):
        front = _exposed(thing.pixels, where, number)
        opacity = front[..., 3:]
        noise = random.normal(0, NOISE, behind.shape).astype(np.float32)
        seen = front[..., :3] + behind * (1 - opacity) + noise
        wanted = front[..., :3] + new * (1 - opacity) + noise * opacity
        speed = where(number + SHUTTER / 2) - where(number - SHUTTER / 2)
        yield Shot(planes(_bytes(seen)), opacity[..., 0], planes(_bytes(wanted)), speed / SHUTTER)


def _exposed(pixels: Floats, where: Callable[[float], float], number: int) -> Floats:
    """float32 [HEIGHT, WIDTH, 4]: the mean of what the shutter lets through; the thing stands on
    the picture's lower border."""
    total = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    for instant in (np.arange(INSTANTS) + 0.5) / INSTANTS - 0.5:
        moved = np.array([[1, 0, where(number + SHUTTER * instant)], [0, 1, 0]])
        moved[1, 2] = HEIGHT - len(pixels) + 1
        total += cv2.warpAffine(pixels, moved, (WIDTH, HEIGHT))
    return total / INSTANTS


def _bytes(rgb: Floats) -> NDArray[np.uint8]:
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def frames(path: Path, count: int) -> list[NDArray[np.uint8]]:
    """The first pictures of a video as RGB of WIDTH x HEIGHT. Raises SceneError."""
    try:
        with av.open(str(path)) as container:
            pictures = zip(range(count), container.decode(video=0), strict=False)
            return [
                picture.to_ndarray(width=WIDTH, height=HEIGHT, format="rgb24")
                for _, picture in pictures
            ]
    except (OSError, av.FFmpegError) as error:
        raise SceneError(f"cannot read {path}: {error}") from error


def backdrops(root: Path) -> list[Path]:
    """Videos, in a fixed order. Raises SceneError."""
    found = sorted([*root.glob("video/objects/*.mp4"), *root.glob("video/camera/*.mp4")])
    if len(found) < 2:
        raise SceneError(f"wanted two videos or more in {root / 'video'}")
    return found


def things(root: Path) -> list[Thing]:
    """Drawn heads and photographs. Raises SceneError."""
    heads = [
        head("dark", (48, 34, 26), seed=1),
        head("fair", (196, 160, 104), seed=2),
        head("red", (140, 66, 30), seed=3),
        head("grey", (150, 148, 146), seed=4),
    ]
    return [*heads, *(cutout(root, number) for number in CUTOUTS)]


def cutout(root: Path, number: str) -> Thing:
    path = root / "train" / "cutouts" / f"tux_00{number}.webp"
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None or read.ndim < 3 or read.shape[2] < 4:
        raise SceneError(f"{path} is no picture with opacity")
    pixels = cv2.cvtColor(read, cv2.COLOR_BGRA2RGBA).astype(np.float32)
    pixels[..., 3] /= 255
    pixels[..., :3] *= pixels[..., 3:]
    scale = min(300 / pixels.shape[0], 330 / pixels.shape[1])
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    pixels = cv2.resize(
        pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return Thing(number, PHOTOGRAPH, np.asarray(pixels, np.float32))


FINE = 4
"""A head is drawn so many times as large, so that a strand covers a part of a pixel."""

STRANDS = 900


def head(name: str, hair: tuple[int, int, int], seed: int) -> Thing:
    """Head and shoulders with loose hair. hair: RGB."""
    random = np.random.default_rng(seed)
    width, height = 300 * FINE, 340 * FINE
    colour = np.full((height, width, 3), hair, np.uint8)
    cover = np.zeros((height, width), np.uint8)
    skin, shirt = (205, 160, 135), tuple(random.integers(40, 220, 3).tolist())

    def ellipse(x: float, y: float, across: float, down: float, rgb: tuple[int, ...]) -> None:
        middle = int(x * width), int(y * height)
        axes = int(across * width), int(down * height)
        for picture, value in ((colour, rgb), (cover, (255,))):
            cv2.ellipse(picture, middle, axes, 0, 0, 360, value, -1, cv2.LINE_AA)

    for _ in range(STRANDS):
        _strand(colour, cover, random, hair)
    ellipse(0.5, 1.08, 0.42, 0.34, shirt)
    ellipse(0.5, 0.74, 0.09, 0.13, skin)
    ellipse(0.5, 0.42, 0.22, 0.27, hair)
    ellipse(0.5, 0.48, 0.17, 0.23, skin)
    opacity = cover.astype(np.float32)[..., None] / 255
    shade = np.linspace(0.75, 1.1, width, dtype=np.float32)[None, :, None]
    premultiplied = np.dstack([np.clip(colour * shade, 0, 255) * opacity, opacity])
    small = cv2.resize(premultiplied, (300, 340), interpolation=cv2.INTER_AREA)
    return Thing(name, HAIR, np.asarray(small, np.float32))


def _strand(
    colour: NDArray[np.uint8],
    cover: NDArray[np.uint8],
    random: np.random.Generator,
    hair: tuple[int, int, int],
) -> None:
    """From the rim of the skull outward, and down by its weight; a quarter to one pixel wide."""
    height, width = cover.shape
    angle = random.uniform(-0.15, 1.15) * np.pi
    start = np.array([0.5 - 0.2 * np.cos(angle), 0.42 - 0.25 * np.sin(angle)])
    away = np.array([-np.cos(angle), -np.sin(angle)]) + random.normal(0, 0.5, 2)
    length = random.exponential(0.04) + 0.03
    steps = np.linspace(0, 1, 12)[:, None]
    fall = np.array([0.0, random.uniform(0, 2.5)])
    line = start + length * (steps * away + steps**2 * fall)
    points = np.rint(line * (width, height)).astype(np.int32)
    shade = float(random.uniform(0.7, 1.25))
    thickness = int(random.integers(1, FINE + 1))
    rgb = tuple(min(255, round(value * shade)) for value in hair)
    cv2.polylines(colour, [points], False, rgb, thickness, cv2.LINE_AA)
    cv2.polylines(cover, [points], False, (255,), thickness, cv2.LINE_AA)

"""Draws the background pictures that come with the program.

python -m stream.compose.draw_backgrounds    writes them to stream/assets/backgrounds

Everything is placed in shares of the height, so each scene can be drawn in any 16:9 size.
"""

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.backgrounds import FOLDER

WIDTH, HEIGHT = 1920, 1080
QUALITY = 88
ASPECT = WIDTH / HEIGHT

Canvas = NDArray[np.float32]
"""RGB [height, width, 3], 0 to 1."""
Mask = NDArray[np.floating]
"""Coverage [height, width], 0 to 1."""
RGB = tuple[float, float, float]


def rgb(colour: str) -> RGB:
    red, green, blue = bytes.fromhex(colour)
    return red / 255, green / 255, blue / 255


def grid(height: int) -> tuple[Mask, Mask]:
    """x [height, width] from 0 to 16/9 and y from 0 to 1, at the centres of the pixels."""
    width = round(height * ASPECT)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return (columns + 0.5) / height, (rows + 0.5) / height


def vertical(y: Mask, *stops: tuple[float, str]) -> Canvas:
    """A gradient from top to bottom through (height, colour) stops."""
    heights = [at for at, _ in stops]
    channels = zip(*(rgb(colour) for _, colour in stops), strict=True)
    return cast(Canvas, np.dstack([np.interp(y, heights, c) for c in channels]).astype(np.float32))


def paint(canvas: Canvas, mask: Mask, colour: str | Canvas, opacity: float = 1.0) -> None:
    fill = np.array(rgb(colour), np.float32) if isinstance(colour, str) else colour
    canvas += (fill - canvas) * (mask * opacity)[..., None]


def edge(distance: Mask, softness: float) -> Mask:
    """Coverage of what lies where the signed distance is negative."""
    return cast(Mask, np.clip(0.5 - distance / softness, 0, 1))


def ellipse(x: Mask, y: Mask, centre: tuple[float, float], radii: tuple[float, float]) -> Mask:
    """Signed distance, about, to an ellipse."""
    away = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return cast(Mask, (away - 1) * min(radii))


def box(x: Mask, y: Mask, left: float, top: float, right: float, bottom: float) -> Mask:
    """Signed distance, about, to a rectangle."""
    sides = [left - x, x - right, top - y, y - bottom]
    return cast(Mask, np.maximum.reduce(sides))


def soften(mask: Mask, sigma: float) -> Mask:
    return cast(Mask, cv2.GaussianBlur(mask, (0, 0), sigma * mask.shape[0]))


def dawn(height: int) -> Canvas:
    """Slow, wide colours."""
    x, y = grid(height)
    canvas = vertical(y, (0, "23395d"), (0.5, "5f6f9c"), (1, "c98f8a"))
    for centre, radius, colour, opacity in (
        ((0.35, 0.95), 0.75, "f3b391", 0.75),
        ((1.55, 0.15), 0.80, "3f7f95", 0.70),
        ((1.25, 0.85), 0.60, "d58fa8", 0.55),
        ((0.15, 0.10), 0.55, "1d2b4f", 0.60),
    ):
        away = np.hypot(x - centre[0], y - centre[1]) / radius
        paint(canvas, np.exp(-2 * away**2), colour, opacity)
    return canvas


def lights(height: int) -> Canvas:
    """A city at night, far out of focus."""
    x, y = grid(height)
    canvas = vertical(y, (0, "0b1020"), (0.55, "1b1d33"), (0.75, "2a2030"), (1, "120f1a"))
    random = np.random.default_rng(11)
    colours = ("ffb45e", "ff8a4c", "ffd9a0", "f2665c", "7fb2ff", "5fd0c5")
    for _ in range(95):
        centre = random.random() * ASPECT, 0.60 + 0.19 * random.standard_normal()
        radius = 0.018 + 0.05 * random.random() ** 2
        colour = colours[int(random.random() ** 1.6 * len(colours))]
        distance = ellipse(x, y, centre, (radius, radius))
        rim = edge(np.abs(distance + 0.003) - 0.002, 0.005)
        paint(canvas, edge(distance, 0.006), colour, 0.16 + 0.44 * random.random() ** 1.5)
        paint(canvas, rim, colour, 0.18)
    glow = np.exp(-(((y - 0.66) / 0.2) ** 2)).astype(np.float32)
    paint(canvas, glow, "c9764a", 0.12)
    return canvas


def mountains(height: int) -> Canvas:
    """Ridges fading into an evening sky."""
    x, y = grid(height)
    canvas = vertical(
        y, (0, "2b3a67"), (0.3, "6d6a99"), (0.5, "d79a8e"), (0.62, "f7cfa3"), (1, "f9e0bd")
    )
    sun = np.hypot(x - 1.22, y - 0.56)
    paint(canvas, np.exp(-((sun / 0.30) ** 2)), "ffe3b0", 0.65)
    paint(canvas, edge(sun - 0.045, 0.004), "fff4da", 0.95)
    random = np.random.default_rng(5)
    ridges = (
        (0.60, 0.10, "b08a9c"),
        (0.67, 0.11, "806f91"),
        (0.76, 0.10, "565479"),
        (0.86, 0.08, "33385a"),
        (0.95, 0.05, "1b2140"),
    )
    for base, relief, colour in ridges:
        line = np.zeros_like(x[:1])
        for octave in range(7):
            phase = random.random() * 2 * np.pi
            wave = np.sin(x[:1] * 2.3 * 1.9**octave + phase)
            line += (1 - 2 * np.abs(wave)) * 0.5 ** (octave + 0.5)
        distance = base - relief * line - y
        shade = np.clip((y - base + relief) / 0.35, 0, 1)[..., None]
        haze = np.array(rgb("f0c3a4"), np.float32)
        fill = np.array(rgb(colour), np.float32) * (1 - 0.22 * shade) + haze * 0.22 * shade
        paint(canvas, edge(distance, 0.002), fill)
    return canvas


def room(height: int) -> Canvas:
    """A wall in daylight, a shelf and a plant."""
    x, y = grid(height)
    canvas = vertical(y, (0, "d9d2c5"), (1, "c3b9a9"))
    light = edge(np.abs(x - 0.42 - 0.35 * y) - 0.20, 0.02) * edge(box(x, y, 0, 0.06, 2, 0.80), 0.02)
    panes = (
        1 - edge(np.abs(x - 0.42 - 0.35 * y) - 0.008, 0.01) - edge(np.abs(y - 0.42) - 0.008, 0.01)
    )
    paint(canvas, soften(light * np.clip(panes, 0, 1), 0.012), "fff3dc", 0.55)
    _shelf(canvas, x, y)
    _plant(canvas, x, y)
    corners = np.hypot((x - ASPECT / 2) / ASPECT, y - 0.45)
    paint(canvas, np.clip(corners - 0.35, 0, 1), "4a4038", 0.7)
    return cast(Canvas, cv2.GaussianBlur(canvas, (0, 0), 0.0025 * height))


def _shelf(canvas: Canvas, x: Mask, y: Mask) -> None:
    left, right = 1.08, 1.66
    board = box(x, y, left, 0.40, right, 0.425)
    paint(
        canvas,
        soften(edge(box(x, y, left + 0.02, 0.43, right + 0.03, 0.49), 0.01), 0.02),
        "6b5c4b",
        0.5,
    )
    random = np.random.default_rng(3)
    colours = ("7d8f86", "b5655a", "d8b98a", "4f6272", "e7ded0", "93785e", "a3afa0")
    at = left + 0.03
    while at < left + 0.33:
        thick, tall = 0.018 + 0.018 * random.random(), 0.13 + 0.07 * random.random()
        book = box(x, y, at, 0.40 - tall, at + thick, 0.40)
        paint(canvas, edge(book, 0.002), colours[int(random.random() * len(colours))])
        paint(canvas, edge(np.abs(x - at) - 0.002, 0.003) * edge(book, 0.002), "3a332c", 0.35)
        at += thick + 0.002
    paint(canvas, edge(ellipse(x, y, (1.53, 0.345), (0.05, 0.055)), 0.003), "e9e2d6")
    paint(canvas, edge(box(x, y, 1.512, 0.25, 1.548, 0.32), 0.004), "e9e2d6")
    paint(canvas, edge(ellipse(x, y, (1.55, 0.35), (0.025, 0.05)), 0.03), "b9ae9e", 0.6)
    paint(canvas, edge(board, 0.002), "a37c57")
    paint(canvas, edge(box(x, y, left, 0.418, right, 0.425), 0.002), "7c5c3f")


def _plant(canvas: Canvas, x: Mask, y: Mask) -> None:
    random = np.random.default_rng(8)
    foot = (0.22, 0.84)
    for index in range(17):
        lean = -1.15 + 2.3 * index / 16 + 0.1 * random.standard_normal()
        length = 0.42 - 0.12 * abs(lean) + 0.05 * random.random()
        along_x, along_y = np.sin(lean), -np.cos(lean)
        along = ((x - foot[0]) * along_x + (y - foot[1]) * along_y) / length
        across = (x - foot[0]) * along_y - (y - foot[1]) * along_x
        bend = across - 0.10 * np.sign(lean) * along**2 * abs(lean)
        blade = np.abs(bend) - 0.032 * np.sqrt(np.clip(along * (1 - along), 0, 1)) * 1.7
        leaf = edge(blade, 0.003) * (along > 0) * (along < 1)
        green = ("3f5f46", "557a55", "6d9166", "48694c")[index % 4]
        paint(canvas, leaf, green)
        paint(canvas, leaf * edge(np.abs(bend) - 0.0015, 0.003), "9db58a", 0.5)
    taper = 0.095 - 0.03 * (y - 0.82) / 0.2
    pot = np.maximum(np.abs(x - foot[0]) - taper, 0.82 - y)
    paint(canvas, edge(pot, 0.003), "c9b8a3")
    paint(canvas, edge(pot, 0.003) * np.clip((x - foot[0]) / 0.09, 0, 1), "8f7c68", 0.7)


SCENES: dict[str, Callable[[int], Canvas]] = {
    "dawn": dawn,
    "lights": lights,
    "mountains": mountains,
    "room": room,
}


def draw(name: str, height: int = HEIGHT) -> NDArray[np.uint8]:
    """The scene as RGB, uint8 [height, height * 16 / 9, 3]; always the same for one size."""
    canvas = SCENES[name](height)
    # Noise of one step hides the bands that slow gradients have in 8 bits.
    noise = np.random.default_rng(1).random(canvas.shape[:2], np.float32)[..., None]
    return cast(NDArray[np.uint8], np.clip(canvas * 255 + noise, 0, 255).astype(np.uint8))


def main() -> None:
    for name in SCENES:
        bgr = cv2.cvtColor(draw(name), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(FOLDER / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()

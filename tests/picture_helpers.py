"""Pictures, masks and a plain reference in floats for the compositor's tests."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from stream.compose.planes import Planes
from stream.frames import Masks

DATA = Path(__file__).parents[1].parent / "shared" / "data"
LIMITED, FULL = int(ColorRange.MPEG), int(ColorRange.JPEG)
BT709, BT470BG, BT601 = 1, 5, 6
UNSPECIFIED = 2


def scene(width, height, seed=0):
    """Smooth colours with some edges: uint8 [height, width, 3] RGB."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 8, 3), np.uint8)
    rgb = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    rgb[height // 3 : height // 2, width // 4 : width // 3] = (250, 20, 30)
    return rgb


def picture(width, height, full=False, matrix=UNSPECIFIED, format="yuv420p", seed=0):
    source = av.VideoFrame.from_ndarray(scene(width, height, seed), "rgb24")
    frame = source.reformat(format=format, dst_color_range=FULL if full else LIMITED)
    frame.colorspace = matrix
    frame.color_range = FULL if full else LIMITED
    frame.pts, frame.time_base = 12345, Fraction(1, 90000)
    return frame


def masks(*logits, ids=None):
    count = len(logits)
    return Masks(
        tuple(ids or range(1, count + 1)),
        np.stack(logits).astype(np.float32) if count else np.empty((0, 64, 64), np.float32),
        np.full(count, 5, np.float32),
        np.full(count, 0.9, np.float32),
        0,
    )


def disc(x=0.5, y=0.5, radius=0.25, size=64, steepness=60.0):
    """Logits of a disc; x, y and radius in shares of the picture."""
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot((columns + 0.5) / size - x, (rows + 0.5) / size - y)
    return np.clip((radius - away) * steepness, -20, 20).astype(np.float32)


EMPTY = np.full((64, 64), -1024, np.float32)
EVERYWHERE = np.full((64, 64), 20, np.float32)


def contents(frame):
    """The planes' bytes, padding left out."""
    return [plane.copy() for plane in Planes.of(frame)]


def enlarge(logits, width, height):
    """Bilinear between pixel centres, in float64, straight from its definition."""

    def weights(length, cells):
        at = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, cells - 1)
        matrix = np.zeros((length, cells))
        matrix[np.arange(length), low] += 1 - (at - low)
        matrix[np.arange(length), high] += at - low
        return matrix

    rows, columns = logits.shape
    return weights(height, rows) @ logits.astype(np.float64) @ weights(width, columns).T


def opacity(logits, width, height, edge):
    return np.clip(enlarge(logits, width, height) / (2 * edge) + 0.5, 0, 1)


def chroma_mean(plane):
    """2 x 2 means; odd sizes repeat their last row and column."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.float64)
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4


def per_plane(luma):
    chroma = chroma_mean(luma)
    return luma, chroma, chroma


def save(frame, name):
    """Kept to be looked at; tests/artefacts is not in git."""
    folder = Path(__file__).parent / "artefacts"
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), frame.to_ndarray(format="bgr24"))

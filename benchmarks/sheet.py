"""A contact sheet: what was found and what is there, for looking at failures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

COLUMNS = 4
TILE = (427, 240)
FOUND = (255, 64, 160)
TRUTH = (255, 255, 255)


def pick(count: int) -> list[int]:
    """Indices of COLUMNS frames of `count`, evenly spread, the first and the last among them."""
    return np.linspace(0, count - 1, COLUMNS).round().astype(int).tolist()


def tile(
    rgb: NDArray[np.uint8], found: NDArray[np.bool_], truth: NDArray[np.bool_], caption: str
) -> NDArray[np.uint8]:
    """uint8 RGB of size TILE: the truth as a thin white line, what was found tinted, its outline
    thick."""
    picture = cv2.resize(rgb, TILE, interpolation=cv2.INTER_AREA)
    seen, there = (
        cv2.resize(mask.astype(np.uint8), TILE, interpolation=cv2.INTER_AREA)
        for mask in (found, truth)
    )
    tinted = cv2.addWeighted(picture, 0.75, np.full_like(picture, FOUND), 0.25, 0)
    picture = np.where(seen[..., None] > 0, tinted, picture)
    _outline(picture, seen, FOUND, 2)
    _outline(picture, there, TRUTH, 1)
    cv2.rectangle(picture, (0, 0), (TILE[0], 20), (0, 0, 0), -1)
    cv2.putText(picture, caption, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TRUTH, 1, cv2.LINE_AA)
    return picture


def _outline(
    picture: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, int, int], width: int
) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, width, cv2.LINE_AA)


def write(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """A PNG with one row of tiles a clip."""
    picture = np.vstack([np.hstack(row) for row in rows])
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")

"""Indexed PNGs as DAVIS has them: one a picture, a pixel's number is its object, 0 is none.

Where objects overlap, a pixel is the one's whose logit is highest.
"""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.jobs.exports.base import ZipFile
from stream.jobs.exports.shown import Shown

SIGNATURE = b"\x89PNG\r\n\x1a\n"
INDEXED = 3
"""The colour type (PNG specification, 11.2.2)."""

LEVEL = 3
"""Of zlib: masks are flat, and a higher one gains next to nothing."""


class Davis(ZipFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path, zipfile.ZIP_STORED)

    def write(self, shown: Shown) -> None:
        numbers = np.zeros((shown.picture.height, shown.picture.width), np.uint8)
        best = np.zeros(numbers.shape, np.float32)
        for object_id, logits in shown.large.items():
            wins = logits > best
            numbers[wins] = object_id
            best[wins] = logits[wins]
        self._archive.writestr(f"{shown.index:05d}.png", indexed_png(numbers))


def indexed_png(numbers: NDArray[np.uint8]) -> bytes:
    """A PNG whose pixels are these numbers, uint8 [height, width], in DAVIS's colours."""
    height, width = numbers.shape
    header = struct.pack(">IIBBBBB", width, height, 8, INDEXED, 0, 0, 0)
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = numbers
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def palette() -> bytes:
    """256 colours of PASCAL VOC, which DAVIS took over: the bits of the number, dealt out to red,
    green and blue from the highest."""
    number = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= ((number >> (3 * place + channel) & 1) << (7 - place)).astype(
                np.uint8
            )
    return colours.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Boxes as MOTChallenge reads them: frame, id, left, top, width, height, confidence, -1, -1, -1.

Frames are numbered from 1 (arXiv 1603.00831, table 5).
"""

from pathlib import Path

from stream.jobs.exports.base import TextFile
from stream.jobs.exports.shown import Shown, bounds


class Mot(TextFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)

    def write(self, shown: Shown) -> None:
        for object_id, region in shown.regions.items():
            left, top, width, height = bounds(region)
            self._file.write(
                f"{shown.index + 1},{object_id},{left},{top},{width},{height},"
                f"{shown.score(object_id):.4f},-1,-1,-1\n"
            )

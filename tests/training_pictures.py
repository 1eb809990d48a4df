"""A small folder of labelled pictures, drawn, laid out as the training pictures are."""

import json
from pathlib import Path

import cv2
import numpy as np

SIDE = 96


def draw(root: Path, count: int = 60) -> Path:
    """Pictures with a square (1, a phone) and a disk (2, a cup, or something without a word) each,
    a third of them parts of a person; one cut-out and one background. Returns the folder."""
    for folder in ("images", "labels", "cutouts", "backgrounds"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(1)
    index = []
    for i in range(count):
        picture = rng.integers(0, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        labels = np.zeros((SIDE, SIDE), np.uint8)
        left, top = rng.integers(4, 16, 2)
        cv2.rectangle(labels, (int(left), int(top)), (int(left) + 30, int(top) + 30), 1, -1)
        cv2.circle(labels, (68, int(rng.integers(30, 70))), 20, 2, -1)
        picture[labels == 1] = (20, 20, 220)
        picture[labels == 2] = (20, 220, 20)
        cv2.imwrite(str(root / "images" / f"drawn_{i}.webp"), picture)
        cv2.imwrite(str(root / "labels" / f"drawn_{i}.png"), labels)
        kind = "parts" if i % 3 == 0 else "instances"
        names = {"1": "cell phone", "2": "zeppelin" if i % 2 else "mug"}
        source = "ccp" if i % 3 == 0 else "drawn"
        entry = {"name": f"drawn_{i}", "source": source, "kind": kind, "objects": names}
        index.append(entry)
    star = np.zeros((64, 64, 4), np.uint8)
    cv2.circle(star, (32, 32), 28, (200, 50, 50, 255), -1)
    cv2.imwrite(str(root / "cutouts" / "star.webp"), star)
    cv2.imwrite(str(root / "backgrounds" / "wall.webp"), np.full((80, 120, 3), 90, np.uint8))
    (root / "index.json").write_text(json.dumps(index))
    return root

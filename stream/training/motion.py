"""How things, cameras and light move from frame to frame."""

import math
import random
from collections.abc import Sequence


def drift(rng: random.Random, frames: int, start: float, step: float) -> list[float]:
    """A smooth random path: `frames` values from `start`, about `step` apart."""
    value, speed = start, rng.gauss(0, step)
    path = []
    for _ in range(frames):
        path.append(value)
        speed = 0.7 * speed + rng.gauss(0, 0.6 * step)
        value += speed
    return path


def growth(rng: random.Random, frames: int, most: float) -> list[float]:
    """Factors from 1 on that grow or shrink steadily, by up to `most` (natural logarithm) at the
    end: what comes nearer is soon twice its size."""
    end = rng.uniform(-most, most)
    return [math.exp(end * i / max(1, frames - 1)) for i in range(frames)]


def absence(rng: random.Random, frames: int) -> range:
    """Frames after the first that an object is away, until it returns or to the end."""
    if frames < 2:
        return range(0)
    begin = rng.randrange(1, frames)
    return range(begin, min(frames, begin + rng.randrange(1, max(2, frames // 2 + 1))))


def excursion(
    rng: random.Random, path: Sequence[float], away: range, distance: float
) -> list[float]:
    """The path, moved by `distance` to either side in the frames `away`."""
    shift = rng.choice((-distance, distance))
    return [value + shift * (i in away) for i, value in enumerate(path)]

"""How the camera moved from one picture to the next, told by what no object hides."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.flow import Step
from stream.compose.planes import Plane

Transform = NDArray[np.float64]
"""[3, 3], takes x, y, 1 of a pixel in the newer picture to where it was in the older one."""

EVERY = 8
"""Of the grid's pixels one in so many along each axis is looked at: 900 of a picture."""

NEAR = 0.3
"""Pixels of the grid off the common motion at which a sample counts a quarter."""

TOGETHER = 0.5
"""Pixels of the grid off it up to which a sample agrees."""

AGREE = 0.6
"""Share of the samples that must, or what is behind does not move as one: parallax, a crowd."""

FEWEST = 0.05
"""Share of the picture that must be free of objects for its motion to be told."""

ROUNDS = 4


def camera_motion(step: Step, objects: Plane | None) -> Transform | None:
    """In pixels of the grid; None where it cannot be told.

    An affine motion fitted to the flow by weights that fall with the distance from it
    (Geman-McClure), from the median on. objects: uint8 of any size, 0 where none is.
    """
    if step.is_cut:
        return None
    rows, columns = (slice(EVERY // 2, None, EVERY),) * 2
    flow, free = step.flow[rows, columns], step.trust[rows, columns].copy()
    if objects is not None:
        size = step.flow.shape[1], step.flow.shape[0]
        small = cv2.resize(objects, size, interpolation=cv2.INTER_AREA)
        free[small[rows, columns] > 0] = 0
    if free.size < 9 or free.mean() < FEWEST:
        return None
    y, x = np.mgrid[: free.shape[0], : free.shape[1]] * EVERY + EVERY // 2
    samples = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    moved, weights = flow.reshape(-1, 2).astype(np.float64), free.ravel().astype(np.float64)
    motion = np.zeros((3, 2))
    motion[2] = np.median(moved[weights > 0], axis=0)
    for _ in range(ROUNDS):
        off = ((moved - samples @ motion) ** 2).sum(axis=1)
        used = (weights / (1 + off / NEAR**2) ** 2)[:, None] * samples
        if np.linalg.matrix_rank(used) < 3:
            return None
        motion = np.linalg.solve(used.T @ samples, used.T @ moved)
    off = ((moved - samples @ motion) ** 2).sum(axis=1)
    if weights[off < TOGETHER**2].sum() < AGREE * weights.sum():
        return None
    result = np.eye(3)
    result[:2] += motion.T
    return result


def enlarged(motion: Transform, across: float, down: float) -> Transform:
    """The same in pixels of a picture so many times as wide and high."""
    scale = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1.0]])
    return scale @ motion @ np.linalg.inv(scale)


def farthest(motion: Transform, width: int, height: int) -> float:
    """How far it takes a corner, in pixels."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]])
    return float(np.hypot(*((corners @ motion.T) - corners)[:, :2].T).max())

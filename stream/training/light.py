"""What lies between the scene and the pixels: exposure, colour, focus, noise, compression."""

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.training.motion import drift


class Light:
    """One clip's light and camera, the same for all its frames but for a slow drift."""

    def __init__(self, rng: random.Random, frames: int) -> None:
        self.gain = drift(rng, frames, rng.uniform(0.6, 1.3), 0.03)
        self.bias = drift(rng, frames, rng.uniform(-20, 20), 3.0)
        tint = [rng.uniform(0.85, 1.15) for _ in range(3)] if rng.random() < 0.5 else [1.0] * 3
        self.tint = np.array(tint, np.float32)
        self.grey = rng.random() < 0.05
        self.blur = rng.choice((0.0, 0.0, 0.0, 0.6, 1.2))
        self.streak = rng.choice((0, 0, 0, 0, 5, 9))
        self.vertical = rng.random() < 0.3
        self.noise = rng.choice((0.0, 0.0, 4.0, 9.0))
        self.quality = rng.choice((0, 0, 0, rng.randint(25, 70)))
        self.random = np.random.default_rng(rng.getrandbits(32))

    def apply(self, canvas: NDArray[np.float32], frame: int) -> NDArray[np.uint8]:
        """RGB float32 [S, S, 3], 0 to 255 -> uint8."""
        image = canvas * (self.tint * max(0.2, self.gain[frame])) + self.bias[frame]
        if self.grey:
            image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        if self.streak:
            length = (1, self.streak) if self.vertical else (self.streak, 1)
            image = cv2.blur(image, length).astype(np.float32)
        if self.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.blur).astype(np.float32)
        if self.noise:
            grain = self.random.standard_normal((*image.shape[:2], 1), np.float32)
            image = image + self.noise * grain
        pixels: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
        if self.quality:
            pixels = compress(pixels, self.quality)
        return pixels


def compress(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """As it comes out of JPEG of a quality from 0 to 100."""
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.uint8, copy=False)

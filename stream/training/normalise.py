"""Pictures as the network wants them."""

import torch
from torch import Tensor

from stream.track.networks.sam2 import DEVIATION, MEAN


def normalise(images: Tensor) -> Tensor:
    """RGB uint8 [..., 3, S, S] -> float32, by ImageNet's mean and deviation."""
    mean, deviation = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(DEVIATION).view(3, 1, 1)
    return (images.float() / 255 - mean) / deviation

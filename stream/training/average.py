"""The exponential moving average of the weights, which is what is kept and shipped."""

import torch
from torch import Tensor, nn

DECAY = 0.998
"""About the last 500 steps."""


class Average:
    """Of a module's parameters and floating-point buffers; of others the newest."""

    def __init__(self, module: nn.Module) -> None:
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.steps += 1
        # The first steps count for less, so that a short run is not all its starting point.
        keep = min(DECAY, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)

    def half(self) -> dict[str, Tensor]:
        """The average in float16, for a checkpoint."""
        return {
            name: value.half() if value.dtype.is_floating_point else value.clone()
            for name, value in self.state.items()
        }

"""A SAM 2.1-tiny with seeded random weights, lively enough for a comparison to mean something.

As it is initialised, its logits are within 0.1, its learned position encodings zero, and nothing
is ever hidden: two trackers could differ and still agree within 1e-4. So what is constant is
made random, and two layers of the heads are scaled, such that mask logits are of the order of 10,
as a trained model's are, and the object score is positive on pictures and negative on black ones.
"""

from functools import cache

import numpy as np
import torch
from sam2.build_sam import build_sam2_video_predictor
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn

from benchmarks.davis import DATA, clips, read_picture
from stream.frames import Image
from stream.prompts import Point
from stream.track.catalog import sam21_model
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Tracker

SEED = 2
LOGIT = 10.0
"""Mean size of mask logits on a tracked frame, after scaling."""

SCORE = 3.0
"""Object score on a picture; a black one has minus this."""


def official(size: int) -> SAM2VideoPredictor:
    """The predictor as its own package builds it, by overrides of its own configuration."""
    model: SAM2VideoPredictor = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=[f"++model.image_size={size}"],
    )
    model.fill_hole_area = 0  # it is applied to what is shown, and not comparable
    model.load_state_dict(weights())
    return model


def ours(size: int) -> Sam2Network:
    """The same weights in the model that the catalogue builds."""
    model = sam21_model("sam2.1-tiny", size, seed=SEED)
    model.load_state_dict(weights())
    return Sam2Network(model)


@cache
def weights() -> dict[str, Tensor]:
    model = sam21_model("sam2.1-tiny", 256, seed=SEED)
    generator = torch.Generator().manual_seed(SEED)
    decoder = model.sam_mask_decoder
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            constant = parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all())
            if constant and not name.endswith("bias"):
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        logit, _, _ = _answers(Sam2Network(model))
        for network in decoder.output_hypernetworks_mlps:
            _scale(network.layers[-1], LOGIT / logit)
        _, seen, hidden = _answers(Sam2Network(model))
        gain = 2 * SCORE / (seen - hidden)
        _scale(decoder.pred_obj_score_head.layers[-1], gain, -gain * (seen + hidden) / 2)
    return dict(model.state_dict())


def _answers(network: Sam2Network) -> tuple[float, float, float]:
    """Mean size of logits and object score on a tracked picture; object score on a black one."""
    size = network.spec.image_size
    picture = read_picture(clips(DATA, ["dog"])[0].pictures[0])[:size, :size].copy()
    tracker = Tracker(network, "official")
    tracker.step(Image(picture, size, size, 0), [Point(1, size / 2, size / 2)])
    seen = tracker.step(Image(picture, size, size, 1))
    hidden = tracker.step(Image(np.zeros_like(picture), size, size, 2))
    return float(np.abs(seen.logits).mean()), float(seen.scores[0]), float(hidden.scores[0])


def _scale(layer: nn.Linear, factor: float, offset: float = 0.0) -> None:
    layer.weight *= factor
    layer.bias *= factor
    layer.bias += offset

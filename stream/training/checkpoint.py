"""The embedded model's torch weights: what training goes on from and the graphs are made of."""

from pathlib import Path

import torch
from sam2.modeling.sam2_base import SAM2Base

from stream.track.networks import nano

NANO = Path(__file__).with_name("nano.pt")
"""float16 weights under "model", and the input size they were trained at under "image_size"."""


def nano_model(
    path: Path = NANO, cls: type[SAM2Base] = SAM2Base, image_size: int | None = None
) -> SAM2Base:
    """The embedded model as a torch module in evaluation mode, an instance of `cls`.

    image_size: side of the input in pixels; None: the one it was trained at.
    """
    checkpoint = torch.load(path, "cpu", weights_only=True)
    model = nano.build(image_size or checkpoint["image_size"], cls)
    _load(model, checkpoint["model"])
    return model


def _load(model: SAM2Base, weights: dict[str, torch.Tensor]) -> None:
    """Weights from before there were words, or with fewer, leave the other queries as they are."""
    queries = "sam_prompt_encoder.word_embeddings.weight"
    known = model.state_dict()[queries].clone()
    taught = weights.get(queries, known[:0])
    known[: len(taught)] = taught
    model.load_state_dict({**weights, queries: known})

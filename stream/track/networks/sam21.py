"""SAM 2.1 as a torch module, from the configurations of the `sam2` package."""

import pickle
from pathlib import Path
from typing import Any

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from stream.errors import ModelError


def build(
    configuration: str, size: int, cls: type[SAM2Base] = SAM2Base, seed: int | None = None
) -> SAM2Base:
    """The module in evaluation mode, with random weights.

    configuration: its file's name in the package, as `sam2.1_hiera_t`. size: input side in pixels.
    No parameter depends on it, and every position encoding follows it: those of image, memories
    and prompts are computed from the maps they are added to, Hiera's learned one is resized and
    its window part repeated, and the rotary one of memory attention takes the side set here.
    """
    path = Path(sam2.__path__[0]) / "configs" / "sam2.1" / f"{configuration}.yaml"
    settings: Any = OmegaConf.load(path).model
    layer = settings.memory_attention.layer
    layer.self_attention.feat_sizes = layer.cross_attention.feat_sizes = [size // 16] * 2
    settings.image_size = size
    # As build_sam2_video_predictor of the package sets them, but for filling holes.
    settings.binarize_mask_from_pts_for_mem_enc = True
    settings.sam_mask_decoder_extra_args = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    settings._target_ = f"{cls.__module__}.{cls.__qualname__}"
    if seed is not None:
        torch.manual_seed(seed)
    model: SAM2Base = instantiate(settings, _recursive_=True)
    return model.eval()


def load_checkpoint(model: SAM2Base, path: Path, name: str) -> None:
    """Put the weights of a checkpoint into the module, all of them.

    path: what torch.save wrote: Meta's published files, or those that SAM 2's training writes.
    name: of the model, for the error. Raises ModelError: not a checkpoint, or another model's.
    """
    weights = _read(path)
    wanted: dict[str, Tensor] = model.state_dict()
    for key, tensor in wanted.items():
        if key not in weights:
            raise ModelError(f"{path} is not a checkpoint of {name}: it has no {key}")
        if weights[key].shape != tensor.shape:
            raise ModelError(
                f"{path} is not a checkpoint of {name}: {key} has shape "
                f"{_shape(weights[key])}, wanted {_shape(tensor)}"
            )
    if unknown := [key for key in weights if key not in wanted]:
        raise ModelError(f"{path} is not a checkpoint of {name}: that has no {unknown[0]}")
    model.load_state_dict(weights)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        # weights_only: a file from anywhere must not be able to run code.
        content = torch.load(path, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"there is no file {path}") from error
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise ModelError(f"{path} is not a checkpoint of PyTorch, or not a whole one") from error
    weights = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise ModelError(f"{path} holds no weights: a dictionary from names to tensors was wanted")
    return weights


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "no dimension"

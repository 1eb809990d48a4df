"""Which models exist, and how each becomes a Network.

A name is `nano`, which the program carries, or a member of SAM 2.1, whose weights are
downloaded, with an optional input size: `sam2.1-tiny@512`.
"""

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.errors import ModelError
from stream.track.networks.base import Network
from stream.track.weights import fetch

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base

EMBEDDED = "nano"

SAM21 = {
    "sam2.1-tiny": ("sam2.1_hiera_t", "sam2.1_hiera_tiny.pt"),
    "sam2.1-small": ("sam2.1_hiera_s", "sam2.1_hiera_small.pt"),
    "sam2.1-base-plus": ("sam2.1_hiera_b+", "sam2.1_hiera_base_plus.pt"),
    "sam2.1-large": ("sam2.1_hiera_l", "sam2.1_hiera_large.pt"),
}
"""Name -> configuration of the `sam2` package, file name of the published checkpoint."""

SAM21_SIZES = (1024, 512, 256)
"""Input sizes; the first, which the models were trained at, is the default."""

CHECKPOINTS = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"

NAMES = (EMBEDDED, *SAM21)


def assets() -> Path:
    """The folder with the graphs of the embedded model."""
    return Path(str(resources.files("stream") / "assets" / EMBEDDED))


def load(name: str = EMBEDDED, *, threads: int | None = None) -> Network:
    """The network of that name, ready to run.

    threads: of the CPU that one call uses; None: all cores. A full model runs on CUDA when
    there is one. Raises ModelError: an unknown name, a missing extra, weights out of reach.
    """
    family, size = _parse(name)
    threads = threads or os.cpu_count() or 1
    if family == EMBEDDED:
        from stream.track.networks.onnx import OnnxNetwork

        return OnnxNetwork(assets(), threads)
    _require_torch(name)
    import torch

    from stream.track.networks.sam2 import Sam2Network

    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    return Sam2Network(sam21_model(family, size), "cuda" if cuda else "cpu", half=cuda)


def sam21_model(
    family: str, size: int, cls: "type[SAM2Base] | None" = None, seed: int | None = None
) -> "SAM2Base":
    """A SAM 2.1 as a torch module with its published weights, in evaluation mode.

    size: input side in pixels; position encodings follow it. cls: SAM2Base or a subclass.
    seed: random weights from this seed instead of the published ones.
    """
    import sam2
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from sam2.modeling.sam2_base import SAM2Base

    configuration, checkpoint = SAM21[family]
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
    cls = cls or SAM2Base
    settings._target_ = f"{cls.__module__}.{cls.__qualname__}"
    if seed is not None:
        torch.manual_seed(seed)
    model: SAM2Base = instantiate(settings, _recursive_=True)
    if seed is None:
        weights = torch.load(fetch(CHECKPOINTS + checkpoint), "cpu", weights_only=True)["model"]
        model.load_state_dict(weights)
    return model.eval()


def _parse(name: str) -> tuple[str, int]:
    family, _, size = name.partition("@")
    if family not in NAMES:
        raise ModelError(f"no model {name!r}; there are {', '.join(NAMES)}")
    sizes = SAM21_SIZES if family in SAM21 else ()
    if not size:
        return family, sizes[0] if sizes else 0
    if size not in map(str, sizes):
        wanted = f"one of {', '.join(map(str, sizes))}" if sizes else "no size"
        raise ModelError(f"model {family} has no input size {size!r}; wanted {wanted}")
    return family, int(size)


def _require_torch(name: str) -> None:
    try:
        import sam2  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"model {name} needs torch; install it with: pip install 'segstream[sam2]'"
        ) from error

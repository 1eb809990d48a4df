"""Which models exist, and how each becomes a Network.

A name is `nano`, which the program carries, or a member of SAM 2.1, whose weights are
downloaded, with an optional input size: `sam2.1-tiny@512`.
"""

import importlib.util
import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from stream.errors import ModelError
from stream.frames import Image
from stream.prompts import Point
from stream.track.networks.base import Network
from stream.track.weights import Checkpoint, fetch

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base

EMBEDDED = "nano"

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[str, ...] = get_args(Device)

CHECKPOINTS = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"


@dataclass(frozen=True, slots=True)
class Model:
    """One line of the catalogue.

    sizes: sides of the square input in pixels; the first is the default, which it was trained at.
    configuration: of the `sam2` package. Both None: the model is in the program.
    """

    sizes: tuple[int, ...]
    configuration: str | None = None
    checkpoint: Checkpoint | None = None


def _sam21(configuration: str, file: str, size: int, sha256: str) -> Model:
    checkpoint = Checkpoint(f"{CHECKPOINTS}{file}", sha256, size)
    return Model((1024, 512, 256), f"sam2.1_hiera_{configuration}", checkpoint)


# The SHA-256 are those that github.com/computational-cell-analytics/micro-sam checks these URLs
# against (micro_sam/v2/util.py). Several other projects that pin the same files name the same
# ones, and the sizes.
MODELS = {
    EMBEDDED: Model((384,)),
    "sam2.1-tiny": _sam21(
        "t",
        "sam2.1_hiera_tiny.pt",
        156_008_466,
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    ),
    "sam2.1-small": _sam21(
        "s",
        "sam2.1_hiera_small.pt",
        184_416_285,
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    ),
    "sam2.1-base-plus": _sam21(
        "b+",
        "sam2.1_hiera_base_plus.pt",
        323_606_802,
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    ),
    "sam2.1-large": _sam21(
        "l",
        "sam2.1_hiera_large.pt",
        898_083_611,
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
    ),
}

NAMES = tuple(MODELS)


def available(own: str = EMBEDDED) -> tuple[str, ...]:
    """Those that can be loaded here and now, without a download; the operator's `own` first.

    Each can be given with `@SIZE` too.
    """
    found = [
        name
        for name, model in MODELS.items()
        if model.checkpoint is None or (has_extra() and model.checkpoint.path.exists())
    ]
    return tuple(dict.fromkeys((own, *found)))


def words(name: str) -> tuple[str, ...]:
    """That objects can be asked for by, without loading the model. Raises ModelError."""
    family, _ = parse(name)
    if MODELS[family].checkpoint is not None:
        return ()
    manifest = json.loads((assets() / "manifest.json").read_text())
    return tuple(manifest.get("words", ()))


def assets() -> Path:
    """The folder with the graphs of the embedded model."""
    return Path(str(resources.files("stream") / "assets" / EMBEDDED))


def parse(name: str) -> tuple[str, int]:
    """`FAMILY` or `FAMILY@SIZE` -> key of MODELS, input size. Raises ModelError."""
    family, _, size = name.partition("@")
    if family not in MODELS:
        raise ModelError(f"no model {name!r}; there are {', '.join(NAMES)}")
    sizes = MODELS[family].sizes
    if "@" not in name:
        return family, sizes[0]
    if size not in map(str, sizes):
        raise ModelError(
            f"model {family} has no input size {size!r}; wanted one of {', '.join(map(str, sizes))}"
        )
    return family, int(size)


def prepare(name: str, weights: Path | None = None) -> None:
    """Have everything in place that `load` needs, downloading with a progress bar if need be.

    It imports no torch, so that a process which starts others can do it for them, once. Raises
    ModelError: an unknown name, a missing extra, weights out of reach.
    """
    family, _ = parse(name)
    if MODELS[family].checkpoint is not None:
        _require_extra(family)
    if weights is not None and not weights.exists():
        raise ModelError(f"there is no file or folder {weights} with weights for {family}")
    _weights(family, weights)


def load(
    name: str = EMBEDDED,
    *,
    threads: int | None = None,
    device: str = "auto",
    half: bool | None = None,
    compile: bool = False,
    weights: Path | None = None,
) -> Network:
    """The network of that name, ready to run.

    threads: of the CPU that one call uses; None: all cores.
    device: "cpu", "cuda", or "auto": CUDA for a full model when there is one, else the CPU.
    half: bfloat16 autocast of a full model; None: on CUDA only.
    compile: torch.compile of a full model's image encoder and memory attention; loading then
    takes minutes.
    weights: instead of the catalogue's: for a full model a checkpoint, for nano a folder of
    graphs as stream.training.export writes it.
    Raises ModelError: an unknown name or device, a missing extra, weights out of reach or of
    another model, CUDA wanted where there is none.
    """
    family, size = parse(name)
    if device not in DEVICES:
        raise ModelError(f"no device {device!r}; there are {', '.join(DEVICES)}")
    threads = threads or os.cpu_count() or 1
    if MODELS[family].checkpoint is None:
        return _load_graphs(name, size, threads, device, weights)
    prepare(name, weights)
    import torch

    from stream.track.networks.sam2 import Sam2Network

    cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise ModelError(
            "device cuda: PyTorch finds no CUDA here; look at what nvidia-smi says, "
            "or use device cpu"
        )
    torch.set_num_threads(threads)
    model = sam21_model(family, size, weights=weights)
    if compile:
        _compile(model)
    network = Sam2Network(model, "cuda" if cuda else "cpu", half=cuda if half is None else half)
    if compile:
        _warm_up(network)
    return network


def sam21_model(
    family: str,
    size: int,
    cls: "type[SAM2Base] | None" = None,
    seed: int | None = None,
    weights: Path | None = None,
) -> "SAM2Base":
    """A SAM 2.1 as a torch module in evaluation mode, with its published weights or `weights`.

    size: input side in pixels. cls: SAM2Base or a subclass. seed: random weights instead.
    Raises ModelError.
    """
    from sam2.modeling.sam2_base import SAM2Base

    from stream.track.networks import sam21

    configuration = MODELS[family].configuration
    assert configuration is not None
    model = sam21.build(configuration, size, cls or SAM2Base, seed)
    if seed is None:
        sam21.load_checkpoint(model, _weights(family, weights), family)
    return model


def _weights(family: str, given: Path | None) -> Path:
    checkpoint = MODELS[family].checkpoint
    if given is not None:
        return given
    return assets() if checkpoint is None else fetch(checkpoint)


def _load_graphs(name: str, size: int, threads: int, device: str, weights: Path | None) -> Network:
    from stream.track.networks.onnx import OnnxNetwork

    if device == "cuda":
        raise ModelError(f"model {EMBEDDED} runs on the CPU; use device cpu, or a full model")
    network = OnnxNetwork(weights or assets(), threads)
    found = network.spec.image_size
    # With weights of one's own, only a size that was asked for has to be met.
    if found != size and (weights is None or "@" in name):
        raise ModelError(f"the graphs in {weights or assets()} have input size {found}, not {size}")
    return network


def _compile(model: "SAM2Base") -> None:
    import torch

    model.image_encoder.forward = torch.compile(model.image_encoder.forward)
    # Memories and objects come in all numbers; each would be compiled anew.
    model.memory_attention.forward = torch.compile(model.memory_attention.forward, dynamic=True)


def _warm_up(network: Network) -> None:
    """Have everything compiled now: a live stream would stand still for it, for minutes.

    One and two pictures, one and two objects, and a memory that grows are all the kinds of
    shapes there are.
    """
    from stream.track.tracker import Tracker, step_together

    size = network.spec.image_size
    images = [Image(np.zeros((size, size, 3), np.uint8), size, size, i) for i in range(6)]
    one, two = Tracker(network), Tracker(network)
    for image in images:
        trackers = [one] if image.index < 3 else [one, two]
        step_together(trackers, [image] * len(trackers))
        if image.index in (0, 3):
            one.prompt([Point(1 + image.index, 1, 1)])
        if image.index == 3:
            two.prompt([Point(1, 1, 1), Point(2, 1, 1)])


def has_extra() -> bool:
    """Whether what the full models need is installed; nothing is imported."""
    return all(importlib.util.find_spec(module) for module in ("sam2", "torch"))


def _require_extra(family: str) -> None:
    if not has_extra():
        raise ModelError(
            f"model {family} needs PyTorch; install it with: pip install 'segstream[sam2]'"
        )

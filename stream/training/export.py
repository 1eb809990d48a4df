"""Turn a SAM 2 in torch into the four graphs that the program runs without torch.

    python -m stream.training.export [--weights nano.pt] [--out stream/assets/nano] [--size 384]

The graphs (stream.training.graphs) hold everything that needs weights; what is only policy (which
memories attend, which of the candidate masks is taken, occlusion) stays in numpy
(stream.track.networks.onnx). Weights are stored in float16 and computed with in float32. Numbers
of memories, pointers and points are dynamic: a padded and masked memory would cost the attention
of a full bank from the first frame on, and its masks besides. Batch normalisation is left for the
runtime to fold, since folded weights would no longer be float16 numbers.
"""

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from stream.track import catalog
from stream.track.networks.onnx import FORMAT, GRAPHS
from stream.track.networks.sam2 import LOGIT_CLAMP
from stream.track.weights import sha256
from stream.training.checkpoint import NANO, nano_model
from stream.training.graphs import Attend, Decode, EncodeImage, EncodeMemory, simplified

OPSET = 17

HALF_FROM = 64
"""Numbers from which a constant is stored in float16."""


QUANTISED = ("attend", "decode", "encode_memory")
"""Graphs whose products with weights are done in int8: those that each object runs again."""


def export(model: SAM2Base, folder: Path, name: str, *, exact: bool = False) -> None:
    """Write the graphs and the manifest into `folder`, over what is there.

    exact: all in float32, as the torch modules compute it; else products with weights in int8
    (dynamic: activations are scaled by their own range each time), for speed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _export_graphs(simplified(model), folder)
    for graph, file in GRAPHS.items():
        if graph in QUANTISED and not exact:
            _quantise(folder / file)
        _store_half(folder / file)
    manifest = {
        "format": FORMAT,
        "name": name,
        "image_size": model.image_size,
        "width": model.hidden_dim,
        "memory_width": model.mem_dim,
        "num_memories": model.num_maskmem,
        "num_pointers": model.max_obj_ptrs_in_encoder,
        "multimask_points": [model.multimask_min_pt_num, model.multimask_max_pt_num],
        "words": list(getattr(model.sam_prompt_encoder, "words", ())),
        "stability": _stability(model),
        "logit_clamp": LOGIT_CLAMP,
        "no_memory": _numbers(model.no_mem_embed),
        "no_object_pointer": _numbers(model.no_obj_ptr),
        "mask_downsample": {
            "weight": _numbers(model.mask_downsample.weight),
            "bias": _numbers(model.mask_downsample.bias),
        },
        "sha256": {file: sha256(folder / file) for file in GRAPHS.values()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _export_graphs(model: SAM2Base, folder: Path) -> None:
    size, width, memory = model.image_size, model.hidden_dim, model.mem_dim
    quarter, side = size // 4, size // 16
    maps, tokens = torch.zeros(1, width, side, side), torch.zeros(side * side, width)
    logits = torch.zeros(1, quarter, quarter)
    _graph(
        EncodeImage(model),
        folder / GRAPHS["encode_image"],
        {"rgb": torch.zeros(1, size, size, 3, dtype=torch.uint8)},
        ["high", "middle", "top", "state", "queries"],
    )
    _graph(
        Attend(model),
        folder / GRAPHS["attend"],
        {
            "state": tokens,
            "queries": tokens,
            "memories": torch.zeros(1, 3, memory, side, side),
            "distances": torch.tensor([[0, 2, 1]]),
            "pointers": torch.zeros(1, 5, width),
            "pointer_distances": torch.ones(1, 5),
        },
        ["conditioned"],
        {"memories": "K", "distances": "K", "pointers": "P", "pointer_distances": "P"},
    )
    _graph(
        Decode(model),
        folder / GRAPHS["decode"],
        {
            "conditioned": maps,
            "high": torch.zeros(1, width // 8, quarter, quarter),
            "middle": torch.zeros(1, width // 4, quarter // 2, quarter // 2),
            "points": torch.zeros(1, 3, 2),
            "labels": torch.zeros(1, 3, dtype=torch.int32),
            "logits": logits,
            "given": torch.zeros(1),
        },
        ["masks", "ious", "object_pointers", "scores"],
        {"points": "P", "labels": "P"},
    )
    _graph(
        EncodeMemory(model),
        folder / GRAPHS["encode_memory"],
        {"top": maps, "logits": logits, "scores": torch.zeros(1), "prompted": torch.zeros(1)},
        ["memory"],
    )


def _graph(
    module: nn.Module,
    path: Path,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """dynamic: names of the inputs whose second axis has a length of its own each time."""
    torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: {1: axis} for name, axis in dynamic.items()},
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        dynamo=False,
    )


def _quantise(path: Path) -> None:
    """Weights of 7 bits: with 8, processors without VNNI overflow in sums of two products."""
    folded = path.with_suffix(".folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    quantize_dynamic(folded, path, ["MatMul", "Gemm"], per_channel=True, reduce_range=True)
    folded.unlink()


def _store_half(path: Path) -> None:
    """Keep constants that are float16 numbers as such, with a cast that is folded when loaded."""
    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for constant in list(graph.initializer):
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < HALF_FROM:
            continue
        values = numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            halved = values.astype(np.float16)
        if not np.array_equal(halved.astype(np.float32), values):
            continue
        name = constant.name
        half = numpy_helper.from_array(halved, name + ".half")
        graph.initializer.remove(constant)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for i, cast in enumerate(casts):
        graph.node.insert(i, cast)
    onnx.save(model, str(path))


def _stability(model: SAM2Base) -> dict[str, float] | None:
    decoder = model.sam_mask_decoder
    if not decoder.dynamic_multimask_via_stability:
        return None
    return {
        "delta": decoder.dynamic_multimask_stability_delta,
        "threshold": decoder.dynamic_multimask_stability_thresh,
    }


def _numbers(tensor: Tensor) -> list[float]:
    return [float(value) for value in tensor.detach().flatten()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a checkpoint of nano to ONNX graphs.")
    parser.add_argument("--weights", type=Path, default=NANO, help="checkpoint to export")
    parser.add_argument("--out", type=Path, default=catalog.assets(), help="folder to write to")
    parser.add_argument("--size", type=int, help="side of the input; default: the trained one")
    parser.add_argument("--exact", action="store_true", help="no int8: as the torch modules")
    arguments = parser.parse_args()
    model = nano_model(arguments.weights, image_size=arguments.size)
    export(model, arguments.out, "nano", exact=arguments.exact)
    for file in sorted(arguments.out.iterdir()):
        print(f"{file.stat().st_size / 1e6:7.2f} MB  {file}")


if __name__ == "__main__":
    main()

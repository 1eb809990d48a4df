"""Turn a SAM 2 in torch into the four graphs that the program runs without torch.

    python -m stream.training.export [--weights nano.pt] [--out stream/assets/nano]

The graphs hold everything that needs weights; what is only policy (which memories attend, which
of the candidate masks is taken, occlusion) stays in numpy (stream.track.networks.onnx). Weights
are stored in float16 and computed with in float32. Batch, number of memories, of pointers and of
points are dynamic: a padded and masked memory would cost the attention of a full bank from the
first frame on, and its masks besides. Batch normalisation is left for the runtime to fold, since
folded weights would no longer be float16 numbers.
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor, nn
from torch.nn import functional as F

from stream.track import catalog
from stream.track.networks.onnx import FORMAT, GRAPHS
from stream.track.networks.sam2 import DEVIATION, LOGIT_CLAMP, MEAN
from stream.training.checkpoint import NANO, nano_model

OPSET = 17

HALF_FROM = 64
"""Numbers from which a constant is stored in float16."""


class EncodeImage(nn.Module):
    """uint8 [B, S, S, 3] -> [B, C/8, S/4, S/4], [B, C/4, S/8, S/8], [B, C, S/16, S/16]."""

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model
        self.mean = torch.tensor(MEAN).view(3, 1, 1)
        self.deviation = torch.tensor(DEVIATION).view(3, 1, 1)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        image = (rgb.permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.deviation
        return tuple(self.model.forward_image(image)["backbone_fpn"])


class Attend(nn.Module):
    """Memory attention with RoPE in real numbers, since complex ones do not export.

    top [1, C, h, w], memories [N, K, M, h, w] and their distances int64 [N, K] (0: conditioning),
    pointers [N, P, C] and their distances float32 [N, P] -> [N, C, h, w].
    """

    position: Tensor
    memory_position: Tensor
    cosine: Tensor
    sine: Tensor

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model
        self.side = model.image_size // 16
        top = torch.zeros(1, model.hidden_dim, self.side, self.side)
        position = model.image_encoder.neck.position_encoding(top)
        memory = torch.zeros(1, model.mem_dim, self.side, self.side)
        memory_position = model.memory_encoder.position_encoding(memory)
        rotation = model.memory_attention.layers[0].self_attn.freqs_cis
        self.register_buffer("position", position.flatten(2).transpose(1, 2).clone())
        self.register_buffer("memory_position", memory_position.flatten(2).transpose(1, 2).clone())
        self.register_buffer("cosine", rotation.real.clone())
        self.register_buffer("sine", rotation.imag.clone())

    def forward(
        self,
        top: Tensor,
        memories: Tensor,
        distances: Tensor,
        pointers: Tensor,
        pointer_distances: Tensor,
    ) -> Tensor:
        model, attention = self.model, self.model.memory_attention
        objects, width = memories.shape[0], model.mem_dim
        slots = torch.remainder(distances - 1, model.num_maskmem)
        time = model.maskmem_tpos_enc.flatten(1)[slots]  # [N, K, M]
        positions = time[:, :, None] + self.memory_position
        spatial = memories.flatten(3).transpose(2, 3)  # [N, K, h * w, M]
        encoded = get_1d_sine_pe(
            pointer_distances / (model.max_obj_ptrs_in_encoder - 1), dim=model.hidden_dim
        )
        tokens = model.hidden_dim // width
        pointer_positions = model.obj_ptr_tpos_proj(encoded).repeat_interleave(tokens, dim=1)
        memory = torch.cat([spatial.flatten(1, 2), pointers.reshape(objects, -1, width)], 1)
        position = torch.cat([positions.flatten(1, 2), pointer_positions], 1)
        x = top.flatten(2).transpose(1, 2) + 0.1 * self.position
        x = x.expand(objects, -1, -1)
        for layer in attention.layers:
            x = self._layer(layer, x, memory, position, spatial.shape[1])
        maps: Tensor = attention.norm(x).transpose(1, 2)
        return maps.reshape(objects, -1, self.side, self.side)

    def _layer(
        self, layer: MemoryAttentionLayer, x: Tensor, memory: Tensor, position: Tensor, maps: int
    ) -> Tensor:
        y = layer.norm1(x)
        x = x + self._attention(layer.self_attn, y, y, y, 1)
        x = x + self._attention(
            layer.cross_attn_image, layer.norm2(x), memory + position, memory, maps
        )
        forward: Tensor = layer.linear2(F.relu(layer.linear1(layer.norm3(x))))
        return x + forward

    def _attention(
        self, attention: RoPEAttention, query: Tensor, key: Tensor, value: Tensor, maps: int
    ) -> Tensor:
        """Single-head attention; the first `maps` * h * w keys are rotated, pointers are not."""
        q, k, v = attention.q_proj(query), attention.k_proj(key), attention.v_proj(value)
        cells = self.side * self.side
        rotated = self._rotate(k[:, : maps * cells].unflatten(1, (maps, cells))).flatten(1, 2)
        k = torch.cat([rotated, k[:, maps * cells :]], 1)
        attended: Tensor = F.scaled_dot_product_attention(self._rotate(q), k, v)
        projected: Tensor = attention.out_proj(attended)
        return projected

    def _rotate(self, x: Tensor) -> Tensor:
        real, imaginary = x[..., 0::2], x[..., 1::2]
        turned = (
            real * self.cosine - imaginary * self.sine,
            real * self.sine + imaginary * self.cosine,
        )
        return torch.stack(turned, -1).flatten(-2)


class Decode(nn.Module):
    """Prompt encoder and mask decoder; all four candidate masks come out.

    conditioned [N, C, h, w], high-resolution features, points [N, P, 2] with labels int32 [N, P],
    logits [N, S/4, S/4] of which those with given > 0 [N] are used
    -> logits [N, 4, S/4, S/4], IoUs [N, 4], pointers [N, 4, C], scores [N].
    """

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model

    def forward(
        self,
        conditioned: Tensor,
        high: Tensor,
        middle: Tensor,
        points: Tensor,
        labels: Tensor,
        logits: Tensor,
        given: Tensor,
    ) -> tuple[Tensor, ...]:
        prompt_encoder, decoder = self.model.sam_prompt_encoder, self.model.sam_mask_decoder
        objects = conditioned.shape[0]
        sparse, none = prompt_encoder(points=(points, labels), boxes=None, masks=None)
        dense = prompt_encoder.mask_downscaling(logits[:, None])
        dense = torch.where(given[:, None, None, None] > 0, dense, none)
        masks, ious, tokens, scores = decoder.predict_masks(
            image_embeddings=conditioned,
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[level.expand(objects, -1, -1, -1) for level in (high, middle)],
        )
        return masks, ious, self.model.obj_ptr_proj(tokens), scores[:, 0]


class EncodeMemory(nn.Module):
    """top [1, C, h, w], logits [N, S/4, S/4], scores [N], prompted [1] -> [N, M, h, w]."""

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, top: Tensor, logits: Tensor, scores: Tensor, prompted: Tensor) -> Tensor:
        model, size = self.model, self.model.image_size
        full = F.interpolate(logits[:, None], (size, size), mode="bilinear", align_corners=False)
        binarize = prompted * float(model.binarize_mask_from_pts_for_mem_enc)
        mask = torch.where(binarize > 0, (full > 0).float(), torch.sigmoid(full))
        mask = mask * model.sigmoid_scale_for_mem_enc + model.sigmoid_bias_for_mem_enc
        top = top.expand(logits.shape[0], -1, -1, -1)
        memory = model.memory_encoder(top, mask, skip_mask_sigmoid=True)["vision_features"]
        hidden = (scores <= 0).float()[:, None, None, None]
        hidden = hidden * model.no_obj_embed_spatial[..., None, None]
        remembered: Tensor = memory + hidden
        return remembered


def export(model: SAM2Base, folder: Path, name: str) -> None:
    """Write the graphs and the manifest into `folder`, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _export_graphs(model, folder)
    manifest = {
        "format": FORMAT,
        "name": name,
        "image_size": model.image_size,
        "width": model.hidden_dim,
        "memory_width": model.mem_dim,
        "num_memories": model.num_maskmem,
        "num_pointers": model.max_obj_ptrs_in_encoder,
        "multimask_points": [model.multimask_min_pt_num, model.multimask_max_pt_num],
        "stability": _stability(model),
        "logit_clamp": LOGIT_CLAMP,
        "no_memory": _numbers(model.no_mem_embed),
        "no_object_pointer": _numbers(model.no_obj_ptr),
        "mask_downsample": {
            "weight": _numbers(model.mask_downsample.weight),
            "bias": _numbers(model.mask_downsample.bias),
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _export_graphs(model: SAM2Base, folder: Path) -> None:
    size, width, memory = model.image_size, model.hidden_dim, model.mem_dim
    quarter, side = size // 4, size // 16
    top = torch.zeros(1, width, side, side)
    logits = torch.zeros(2, quarter, quarter)
    high = torch.zeros(1, width // 8, quarter, quarter)
    middle = torch.zeros(1, width // 4, quarter // 2, quarter // 2)
    N, K, P = "objects", "memories", "pointers"  # noqa: N806 (the axes' names)
    _graph(
        EncodeImage(model),
        folder / GRAPHS["encode_image"],
        {"rgb": (torch.zeros(1, size, size, 3, dtype=torch.uint8), ["batch"])},
        {"high": ["batch"], "middle": ["batch"], "top": ["batch"]},
    )
    _graph(
        Attend(model),
        folder / GRAPHS["attend"],
        {
            "top": (top, []),
            "memories": (torch.zeros(2, 3, memory, side, side), [N, K]),
            "distances": (torch.tensor([[0, 2, 1]] * 2), [N, K]),
            "pointers": (torch.zeros(2, 5, width), [N, P]),
            "pointer_distances": (torch.ones(2, 5), [N, P]),
        },
        {"conditioned": [N]},
    )
    _graph(
        Decode(model),
        folder / GRAPHS["decode"],
        {
            "conditioned": (torch.zeros(2, width, side, side), [N]),
            "high": (high, []),
            "middle": (middle, []),
            "points": (torch.zeros(2, 3, 2), [N, "points"]),
            "labels": (torch.zeros(2, 3, dtype=torch.int32), [N, "points"]),
            "logits": (logits, [N]),
            "given": (torch.zeros(2), [N]),
        },
        {"masks": [N], "ious": [N], "object_pointers": [N], "scores": [N]},
    )
    inputs: dict[str, tuple[Tensor, Sequence[str]]] = {
        "top": (top, []),
        "logits": (logits, [N]),
        "scores": (torch.zeros(2), [N]),
        "prompted": (torch.zeros(1), []),
    }
    _graph(EncodeMemory(model), folder / GRAPHS["encode_memory"], inputs, {"memory": [N]})


def _graph(
    module: nn.Module,
    path: Path,
    inputs: dict[str, tuple[Tensor, Sequence[str]]],
    outputs: dict[str, list[str]],
) -> None:
    axes = {name: dict(enumerate(dynamic)) for name, (_, dynamic) in inputs.items() if dynamic}
    axes |= {name: dict(enumerate(dynamic)) for name, dynamic in outputs.items()}
    torch.onnx.export(
        module.eval(),
        tuple(tensor for tensor, _ in inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes=axes,
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        dynamo=False,
    )
    graph = onnx.load(str(path))
    _store_half(graph)
    onnx.save(graph, str(path))


def _store_half(model: onnx.ModelProto) -> None:
    """Keep constants that are float16 numbers as such, with a cast that is folded when loaded."""
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
    arguments = parser.parse_args()
    export(nano_model(arguments.weights), arguments.out, "nano")
    for file in sorted(arguments.out.iterdir()):
        print(f"{file.stat().st_size / 1e6:7.2f} MB  {file}")


if __name__ == "__main__":
    main()

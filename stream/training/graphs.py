"""The four parts of a SAM 2 as modules whose ONNX graphs run fast on a CPU.

They compute what the package's modules do, in other words (docs/performance.md): without complex
numbers, which do not export, without products that can be merged beforehand, and with operators
that runtimes do well. Everything that depends on weights alone is folded when a graph is loaded.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import LayerNorm2d, get_1d_sine_pe
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stream.track.networks.nano import SameConv
from stream.track.networks.sam2 import DEVIATION, MEAN


class EncodeImage(nn.Module):
    """uint8 [1, S, S, 3] -> [1, C/8, S/4, S/4], [1, C/4, S/8, S/8], [1, C, h, w], and what all
    objects of the picture have in common in memory attention: its first layer's state after self
    attention, and its queries to the memories, both [h * w, C]."""

    position: Tensor

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model
        self.mean = 255.0 * torch.tensor(MEAN).view(3, 1, 1)
        self.deviation = 255.0 * torch.tensor(DEVIATION).view(3, 1, 1)
        self.rotary = Rotary(model)
        side = model.image_size // 16
        top = torch.zeros(1, model.hidden_dim, side, side)
        position = model.image_encoder.neck.position_encoding(top)
        self.register_buffer("position", position[0].flatten(1).T.clone())

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        image = (rgb.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        features = self.model.forward_image(image)["backbone_fpn"]
        layer = self.model.memory_attention.layers[0]
        state = features[-1][0].flatten(1).T + 0.1 * self.position
        state = _self_attended(layer, self.rotary, state)
        return (*features, state, _queries(layer, self.rotary, state))


class Attend(nn.Module):
    """Memory attention for one object, from where EncodeImage left it.

    state, queries [h * w, C]; memories [1, K, M, h, w] and their distances int64 [1, K] (0:
    conditioning), pointers [1, P, C] and their distances float32 [1, P] -> [1, C, h, w].
    """

    memory_position: Tensor

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model
        self.rotary = Rotary(model)
        self.side = model.image_size // 16
        memory = torch.zeros(1, model.mem_dim, self.side, self.side)
        memory_position = model.memory_encoder.position_encoding(memory)
        self.register_buffer("memory_position", memory_position[0].flatten(1).T.clone())

    def forward(
        self,
        state: Tensor,
        queries: Tensor,
        memories: Tensor,
        distances: Tensor,
        pointers: Tensor,
        pointer_distances: Tensor,
    ) -> Tensor:
        attention, width = self.model.memory_attention, self.model.mem_dim
        maps = memories[0].flatten(2).transpose(1, 2)  # [K, h * w, M]
        map_keys = maps + self._map_positions()[distances[0]]
        tokens = pointers.reshape(-1, width)
        token_keys = tokens + self._pointer_positions(pointer_distances[0])
        values = torch.cat([maps.reshape(-1, width), tokens])
        for number, layer in enumerate(attention.layers):
            if number:
                state = _self_attended(layer, self.rotary, state)
                queries = _queries(layer, self.rotary, state)
            keys = self._keys(layer.cross_attn_image, map_keys, token_keys)
            attended = _attended(queries, keys, values)
            state = state + _values_projected_last(layer.cross_attn_image, attended)
            state = state + layer.linear2(F.relu(layer.linear1(layer.norm3(state))))
        conditioned: Tensor = attention.norm(state).T
        return conditioned.reshape(1, -1, self.side, self.side)

    def _map_positions(self) -> Tensor:
        """[num_maskmem, h * w, M], by distance."""
        time = self.model.maskmem_tpos_enc.flatten(1).roll(1, 0)
        return time[:, None] + self.memory_position  # type: ignore[no-any-return]

    def _pointer_positions(self, distances: Tensor) -> Tensor:
        model = self.model
        time = distances / (model.max_obj_ptrs_in_encoder - 1)
        positions: Tensor = model.obj_ptr_tpos_proj(get_1d_sine_pe(time, dim=model.hidden_dim))
        return positions.repeat_interleave(model.hidden_dim // model.mem_dim, dim=0)

    def _keys(self, attention: Any, map_keys: Tensor, token_keys: Tensor) -> Tensor:
        """[K * h * w + tokens, C], in the order of the values; pointers have no place."""
        keys = self.rotary(attention.k_proj, map_keys).flatten(0, 1)
        return torch.cat([keys, _reals_first(attention.k_proj, token_keys)])


class Rotary(nn.Module):
    """Rotary encoding of a projection, all real parts first, then the imaginary ones."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        attention: Any = model.memory_attention
        rotation = attention.layers[0].self_attn.freqs_cis
        self.register_buffer("cosine", rotation.real.clone())
        self.register_buffer("sine", rotation.imag.clone())

    def forward(self, projection: nn.Linear, x: Tensor) -> Tensor:
        weight, bias = projection.weight, projection.bias
        real = F.linear(x, weight[0::2], bias[0::2])
        imaginary = F.linear(x, weight[1::2], bias[1::2])
        turned = (
            real * self.cosine - imaginary * self.sine,
            real * self.sine + imaginary * self.cosine,
        )
        return torch.cat(turned, -1)


def _self_attended(layer: MemoryAttentionLayer, rotary: Rotary, state: Tensor) -> Tensor:
    own: Any = layer.self_attn
    y = layer.norm1(state)
    attended = _attended(rotary(own.q_proj, y), rotary(own.k_proj, y), own.v_proj(y))
    projected: Tensor = own.out_proj(attended)
    return state + projected


def _queries(layer: MemoryAttentionLayer, rotary: Rotary, state: Tensor) -> Tensor:
    cross: Any = layer.cross_attn_image
    queries: Tensor = rotary(cross.q_proj, layer.norm2(state))
    return queries


def _reals_first(projection: nn.Linear, x: Tensor) -> Tensor:
    weight, bias = projection.weight, projection.bias
    return F.linear(x, torch.cat([weight[0::2], weight[1::2]]), torch.cat([bias[0::2], bias[1::2]]))


def _attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return F.softmax(queries @ keys.T * queries.shape[-1] ** -0.5, -1) @ values


def _values_projected_last(attention: RoPEAttention, attended: Tensor) -> Tensor:
    """Both projections at once, after the attention: its weights add up to one, and the memories
    are half as wide as their projection."""
    values, out = attention.v_proj, attention.out_proj
    return F.linear(attended, out.weight @ values.weight, out.weight @ values.bias + out.bias)


class Decode(nn.Module):
    """Prompt encoder and mask decoder for one object; all four candidate masks come out.

    conditioned [1, C, h, w], high-resolution features, points [1, P, 2] with labels int32 [1, P],
    logits [1, S/4, S/4] that are used where given > 0 [1]
    -> logits [1, 4, S/4, S/4], IoUs [1, 4], pointers [1, 4, C], scores [1].
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
        sparse, none = prompt_encoder(points=(points, labels), boxes=None, masks=None)
        dense = prompt_encoder.mask_downscaling(logits[:, None])
        dense = torch.where(given[:, None, None, None] > 0, dense, none)
        masks, ious, tokens, scores = decoder.predict_masks(
            image_embeddings=conditioned,
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[high, middle],
        )
        return masks, ious, self.model.obj_ptr_proj(tokens), scores[:, 0]


class EncodeMemory(nn.Module):
    """top [1, C, h, w], logits [1, S/4, S/4], scores [1], prompted [1] -> [1, M, h, w]."""

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, top: Tensor, logits: Tensor, scores: Tensor, prompted: Tensor) -> Tensor:
        model, size = self.model, self.model.image_size
        full = F.interpolate(logits[:, None], (size, size), mode="bilinear", align_corners=False)
        binarize = prompted * float(model.binarize_mask_from_pts_for_mem_enc)
        mask = torch.where(binarize > 0, (full > 0).float(), torch.sigmoid(full))
        mask = mask * model.sigmoid_scale_for_mem_enc + model.sigmoid_bias_for_mem_enc
        memory = model.memory_encoder(top, mask, skip_mask_sigmoid=True)["vision_features"]
        hidden = (scores <= 0).float()[:, None, None, None]
        hidden = hidden * model.no_obj_embed_spatial[..., None, None]
        remembered: Tensor = memory + hidden
        return remembered


class ChannelNorm(nn.Module):
    """SAM 2's LayerNorm2d; products with ones add up channels faster than runtimes' reductions."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.norm: Any = norm

    def forward(self, x: Tensor) -> Tensor:
        norm, channels = self.norm, x.shape[1]
        mean = torch.full((1, 1, channels), 1 / channels)
        centred = x.flatten(2)
        centred = centred - mean @ centred
        scaled = centred / torch.sqrt(mean @ (centred * centred) + norm.eps)
        normed: Tensor = norm.weight[:, None] * scaled + norm.bias[:, None]
        return normed.reshape(x.shape)


class PaddedConv(nn.Module):
    """A SameConv whose padding is the convolution's own in the graph, not a copy of the map."""

    def __init__(self, same: SameConv) -> None:
        super().__init__()
        self.conv = same.conv
        self.pad = same.pad

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is None:
            return self.conv(x)  # type: ignore[no-any-return]
        apply: Any = _UnevenConv.apply
        convolved: Tensor = apply(x, self.conv.weight, self.conv.groups, self.pad)
        return convolved


class _UnevenConv(torch.autograd.Function):
    """At stride 2, with a padding that torch's own convolutions cannot have."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, groups: int, pad: tuple[int, int, int, int]
    ) -> Tensor:
        return F.conv2d(F.pad(x, pad), weight, stride=2, groups=groups)

    @staticmethod
    def symbolic(
        graph: Any, x: Any, weight: Any, groups: int, pad: tuple[int, int, int, int]
    ) -> Any:
        left, right, top, bottom = pad
        return graph.op(
            "Conv",
            x,
            weight,
            kernel_shape_i=weight.type().sizes()[2:],
            strides_i=(2, 2),
            pads_i=(top, left, bottom, right),
            group_i=groups,
        )


def simplified(model: SAM2Base) -> SAM2Base:
    """A copy of nano that computes the same in fewer and faster operators."""
    model = copy.deepcopy(model)
    encoder: Any = model.image_encoder
    decoder: Any = model.sam_mask_decoder
    laterals = encoder.neck.convs
    laterals[-1].conv = _merged(laterals[-1].conv, decoder.conv_s0)
    laterals[-2].conv = _merged(laterals[-2].conv, decoder.conv_s1)
    decoder.conv_s0 = decoder.conv_s1 = nn.Identity()
    last = encoder.trunk.blocks[-1].body
    projection = fuse_conv_bn_eval(last[-2].conv, last[-1])
    last[-2], last[-1] = _merged(projection, laterals[0].conv), nn.Identity()
    laterals[0].conv = nn.Identity()
    _replace(model, {LayerNorm2d: ChannelNorm, SameConv: PaddedConv})
    return model


def _merged(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """Two 1 x 1 convolutions with nothing between them as one."""
    assert first.bias is not None
    assert second.bias is not None
    merged = nn.Conv2d(first.in_channels, second.out_channels, 1)
    weight, outer = first.weight.flatten(1), second.weight.flatten(1)
    merged.weight = nn.Parameter((outer @ weight)[..., None, None])
    merged.bias = nn.Parameter(outer @ first.bias + second.bias)
    return merged


def _replace(module: nn.Module, kinds: dict[type, Callable[[Any], nn.Module]]) -> None:
    for name, child in module.named_children():
        if type(child) in kinds:
            setattr(module, name, kinds[type(child)](child))
        else:
            _replace(child, kinds)

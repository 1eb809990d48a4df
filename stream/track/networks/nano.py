"""nano: the small SAM 2 that the program ships, as torch modules.

An EfficientNet-Lite0 trunk (Tan and Le, arXiv 1905.11946; the Lite variant drops
squeeze-and-excitation and swish) under SAM 2's own neck, memory attention, memory encoder and
mask decoder, at width 128, so that the official predictor's code runs it too. Widths, kernels
and strides of the trunk follow the package `efficientnet_lite_pytorch`, whose ImageNet weights
start the training.
"""

from typing import Any

import torch
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from stream.track.networks.base import FIRST_WORD
from stream.track.words import LEARNED, WORDS

WIDTH = 128
MEMORY_WIDTH = 64

STEM_CHANNELS = 32
STAGES = (
    # repeats, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Module):
    """A convolution padded as TensorFlow does it, which keeps the ImageNet weights exact:
    at stride 2 an even input is padded at the right and bottom only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__()
        same = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, same, groups=groups, bias=False)
        before = (kernel - 2) // 2
        after = kernel - 2 - before
        self.pad = (before, after, before, after) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            x = nn.functional.pad(x, self.pad)
        return self.conv(x)  # type: ignore[no-any-return]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project; a skip where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [SameConv(inputs, inner, 1), _norm(inner), nn.ReLU6()]
        layers += [SameConv(inner, inner, kernel, stride, groups=inner), _norm(inner), nn.ReLU6()]
        layers += [SameConv(inner, outputs, 1), _norm(outputs)]
        self.body = nn.Sequential(*layers)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.skip else y


class Trunk(nn.Module):
    """EfficientNet-Lite0 without its head; gives the features at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            SameConv(3, STEM_CHANNELS, 3, 2), _norm(STEM_CHANNELS), nn.ReLU6()
        )
        blocks: list[InvertedResidual] = []
        strides: list[int] = []
        channels = [STEM_CHANNELS]
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                strides.append(stride if i == 0 else 1)
                blocks.append(
                    InvertedResidual(channels[-1], outputs, kernel, strides[-1], expansion)
                )
                channels.append(outputs)
        self.blocks = nn.ModuleList(blocks)
        before_halving = [i - 1 for i, stride in enumerate(strides) if stride == 2]
        ends = (*before_halving[1:], len(blocks) - 1)
        self.ends = frozenset(ends)
        self.channel_list = [channels[i + 1] for i in reversed(ends)]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                outputs.append(x)
        return outputs


class WordPromptEncoder(PromptEncoder):  # type: ignore[misc]
    """SAM's prompt encoder with one more kind of point label: FIRST_WORD + n is the learned query
    of the n-th of WORDS, without a place. words: those that are offered."""

    def __init__(self, words: tuple[str, ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.words = words
        self.word_embeddings = nn.Embedding(len(WORDS), self.embed_dim)

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        embedded = super()._embed_points(points, labels, pad)
        if pad:
            labels = torch.cat([labels, -torch.ones_like(labels[:, :1])], dim=1)
        words = self.word_embeddings((labels.long() - FIRST_WORD).clamp(min=0))
        return torch.where((labels >= FIRST_WORD).unsqueeze(-1), words, embedded)


def build(image_size: int = 256, cls: type[SAM2Base] = SAM2Base, **kwargs: Any) -> SAM2Base:
    """nano with random weights, in evaluation mode, as an instance of `cls`.

    image_size: side of the input in pixels, a multiple of 32. kwargs go to `cls`.
    """
    side = [image_size // 16] * 2
    trunk = Trunk()
    neck = FpnNeck(
        _sine(WIDTH),
        WIDTH,
        trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    layer = MemoryAttentionLayer(
        activation="relu",
        d_model=WIDTH,
        dim_feedforward=512,
        dropout=0.0,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=_attention(side),
        cross_attention=_attention(side, rope_k_repeat=True, kv_in_dim=MEMORY_WIDTH),
    )
    memory_encoder = MemoryEncoder(
        in_dim=WIDTH,
        out_dim=MEMORY_WIDTH,
        position_encoding=_sine(MEMORY_WIDTH),
        mask_downsampler=MaskDownSampler(embed_dim=WIDTH, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim=WIDTH), num_layers=2),
    )
    model = cls(
        image_encoder=ImageEncoder(trunk, neck, scalp=1),
        memory_attention=MemoryAttention(
            d_model=WIDTH, pos_enc_at_input=True, layer=layer, num_layers=2
        ),
        memory_encoder=memory_encoder,
        image_size=image_size,
        num_maskmem=7,
        **{**SAM21_OPTIONS, **kwargs},
    )
    model.sam_prompt_encoder = WordPromptEncoder(
        LEARNED,
        embed_dim=WIDTH,
        image_embedding_size=(side[0], side[1]),
        input_image_size=(image_size, image_size),
        mask_in_chans=16,
    )
    return model.eval()


SAM21_OPTIONS: dict[str, Any] = {
    "sigmoid_scale_for_mem_enc": 20.0,
    "sigmoid_bias_for_mem_enc": -10.0,
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "no_obj_embed_spatial": True,
    "use_high_res_features_in_sam": True,
    "multimask_output_in_sam": True,
    "multimask_output_for_tracking": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "use_multimask_token_for_obj_ptr": True,
    "iou_prediction_use_sigmoid": True,
    "use_obj_ptrs_in_encoder": True,
    "add_tpos_enc_to_obj_ptrs": True,
    "proj_tpos_enc_in_obj_ptrs": True,
    "use_signed_tpos_enc_to_obj_ptrs": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "use_mlp_for_obj_ptr_proj": True,
    "pred_obj_scores": True,
    "pred_obj_scores_mlp": True,
    "fixed_no_obj_ptr": True,
}
"""What SAM 2.1's own configurations say (sam2/configs/sam2.1)."""


def _sine(width: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000)


def _attention(side: list[int], **kwargs: Any) -> RoPEAttention:
    return RoPEAttention(
        rope_theta=10000.0,
        feat_sizes=side,
        embedding_dim=WIDTH,
        num_heads=1,
        downsample_rate=1,
        dropout=0.0,
        **kwargs,
    )

"""Any SAM 2 or 2.1 under torch, on the modules of the `sam2` package."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor
from torch.nn import functional as F

from stream.track.networks.base import Decoded, Points, Recall, Spec, by_shape

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, as load_video_frames of the package subtracts and divides them."""

LOGIT_CLAMP = 32.0
"""Earlier logits that points correct are clamped to this (sam2_video_predictor.py)."""


@dataclass(frozen=True, slots=True)
class Features:
    """One encoded picture.

    high: [1, C/8, S/4, S/4] and [1, C/4, S/8, S/8] for the mask decoder.
    top, position: [h * w, 1, C] with h = w = S/16, as memory attention takes them.
    """

    high: tuple[Tensor, Tensor]
    top: Tensor
    position: Tensor


class Sam2Network:
    """model: a SAM2Base in evaluation mode. device: where it runs, "cpu" or "cuda".

    On CUDA the image encoder and the attention run under bfloat16 autocast if `half` is set.
    """

    def __init__(self, model: SAM2Base, device: str = "cpu", half: bool = False) -> None:
        self._model: Any = model.to(device)
        self._device = torch.device(device)
        self._half = half
        self._side = model.image_size // 16
        self.spec = Spec(
            model.image_size,
            model.num_maskmem,
            model.max_obj_ptrs_in_encoder,
            (model.multimask_min_pt_num, model.multimask_max_pt_num),
        )
        self._mean = torch.tensor(MEAN, device=device).view(3, 1, 1)
        self._deviation = torch.tensor(DEVIATION, device=device).view(3, 1, 1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)

    @torch.inference_mode()
    def encode_image(self, rgb: NDArray[np.uint8]) -> Features:
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self._device)
        image = (pixels.permute(2, 0, 1).float() / 255.0 - self._mean) / self._deviation
        with self._autocast():
            backbone = self._model.forward_image(image[None])
        _, features, positions, _ = self._model._prepare_backbone_features(backbone)
        first, second, _ = backbone["backbone_fpn"]
        return Features((first, second), features[-1], positions[-1])

    @torch.inference_mode()
    def attend(self, features: Features, recalls: Sequence[Recall | None]) -> Tensor:
        result: list[Tensor] = [features.top] * len(recalls)
        for indices in by_shape(recalls).values():
            group = [recall for i in indices if (recall := recalls[i]) is not None]
            conditioned = (
                self._attend_batch(features, group)
                if group
                else (features.top + self._model.no_mem_embed).expand(-1, len(indices), -1)
            )
            for i, one in zip(indices, self._map(conditioned), strict=True):
                result[i] = one
        return torch.stack(result)

    def _attend_batch(self, features: Features, recalls: Sequence[Recall]) -> Tensor:
        model, count = self._model, len(recalls)
        spatial, spatial_positions = [], []
        position = self._memory_position()
        for k in range(recalls[0].shape[0]):
            maps = torch.stack([recall.spatial[k] for recall in recalls])
            spatial.append(maps.flatten(2).permute(2, 0, 1))
            slots = [recall.spatial_distances[k] - 1 for recall in recalls]
            spatial_positions.append(position + model.maskmem_tpos_enc[slots, 0, 0])
        pointers = torch.stack(
            [torch.stack(recall.pointers) for recall in recalls], dim=1
        )  # [P, N, C]
        distances = torch.tensor(
            [recall.pointer_distances for recall in recalls], device=self._device
        ).T
        time = distances.flatten() / (self.spec.num_pointers - 1)
        pointer_positions = model.obj_ptr_tpos_proj(get_1d_sine_pe(time, dim=model.hidden_dim))
        pointer_positions = pointer_positions.reshape(*distances.shape, -1)  # [P, N, mem_dim]
        tokens = model.hidden_dim // model.mem_dim
        pointers = pointers.reshape(*distances.shape, tokens, model.mem_dim)
        pointers = pointers.permute(0, 2, 1, 3).flatten(0, 1)
        pointer_positions = pointer_positions.repeat_interleave(tokens, dim=0)
        with self._autocast():
            conditioned: Tensor = model.memory_attention(
                curr=features.top.expand(-1, count, -1),
                curr_pos=features.position.expand(-1, count, -1),
                memory=torch.cat([*spatial, pointers]),
                memory_pos=torch.cat([*spatial_positions, pointer_positions]),
                num_obj_ptr_tokens=pointers.shape[0],
            )
        return conditioned

    def _memory_position(self) -> Tensor:
        """The memories' spatial encoding, [h * w, 1, mem_dim]; the module caches it."""
        encoding = self._model.memory_encoder.position_encoding
        empty = torch.empty(1, self._model.mem_dim, self._side, self._side, device=self._device)
        position: Tensor = encoding(empty)
        return position.flatten(2).permute(2, 0, 1)

    @torch.inference_mode()
    def decode(
        self, features: Features, conditioned: Tensor, points: Points | None, logits: Tensor | None
    ) -> Decoded:
        count = 0 if points is None else points.labels.shape[1]
        least, most = self.spec.multimask_points
        return self._heads(
            features,
            conditioned,
            least <= count <= most,
            point_inputs=points
            and {
                "point_coords": torch.from_numpy(points.coordinates).to(self._device),
                "point_labels": torch.from_numpy(points.labels).to(self._device),
            },
            mask_inputs=None
            if logits is None
            else logits[:, None].clamp(-LOGIT_CLAMP, LOGIT_CLAMP),
        )

    @torch.inference_mode()
    def decode_mask(self, features: Features, mask: NDArray[np.bool_]) -> Decoded:
        size = self.spec.image_size
        given = torch.from_numpy(mask)[None, None].float().to(self._device)
        if mask.shape != (size, size):
            given = F.interpolate(given, (size, size), mode="bilinear", antialias=True)
            given = (given >= 0.5).float()
        top = self._map(features.top)
        low, *_, pointers, scores = self._model._use_mask_as_output(top, list(features.high), given)
        return Decoded(low[:, 0], pointers, scores[:, 0].cpu().numpy(), np.ones(1, np.float32))

    def _heads(
        self, features: Features, conditioned: Tensor, multimask: bool, **inputs: Any
    ) -> Decoded:
        count = len(conditioned)
        with self._autocast():
            _, _, ious, low, full, pointers, scores = self._model._forward_sam_heads(
                backbone_features=conditioned,
                high_res_features=[level.expand(count, -1, -1, -1) for level in features.high],
                multimask_output=multimask,
                **inputs,
            )
        return Decoded(
            low[:, 0].float(),
            pointers.float(),
            scores[:, 0].float().cpu().numpy(),
            ious.amax(dim=1).float().cpu().numpy(),
            full,
        )

    @torch.inference_mode()
    def encode_memory(
        self, features: Features, decoded: Decoded, prompted: bool
    ) -> Sequence[Tensor]:
        size = self.spec.image_size
        count = len(decoded.scores)
        full = decoded.full
        if prompted or full is None:
            # The official predictor enlarges a prompted frame's mask anew; the rounding differs.
            full = F.interpolate(
                decoded.logits[:, None], (size, size), mode="bilinear", align_corners=False
            )
        with self._autocast():
            memories, _ = self._model._encode_new_memory(
                current_vision_feats=[features.top.expand(-1, count, -1)],
                feat_sizes=[(self._side, self._side)],
                pred_masks_high_res=full,
                object_score_logits=torch.from_numpy(decoded.scores)[:, None].to(self._device),
                is_mask_from_pts=prompted,
            )
        return tuple(memories.to(torch.bfloat16))

    def _map(self, sequence: Tensor) -> Tensor:
        """[h * w, N, C] -> [N, C, h, w]."""
        return sequence.permute(1, 2, 0).reshape(*sequence.shape[1:], self._side, self._side)

    def stack(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(tensors))

    def to_numpy(self, tensor: Tensor) -> NDArray[np.float32]:
        array: NDArray[np.float32] = tensor.float().cpu().numpy()
        return array

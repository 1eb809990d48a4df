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

    half: run encoder, attention and decoder under bfloat16 autocast (meant for CUDA).
    batched: run all objects of a call at once. By default on CUDA only: on a CPU one object after
    the other is as fast, and equals the official predictor to the last bit.
    """

    def __init__(
        self,
        model: SAM2Base,
        device: str = "cpu",
        half: bool = False,
        batched: bool | None = None,
    ) -> None:
        self._model: Any = model.to(device)
        self._device = torch.device(device)
        self._half = half
        self._batched = self._device.type == "cuda" if batched is None else batched
        self._side = model.image_size // 16
        self.spec = Spec(
            model.image_size,
            model.num_maskmem,
            model.max_obj_ptrs_in_encoder,
            (model.multimask_min_pt_num, model.multimask_max_pt_num),
            tuple(getattr(model.sam_prompt_encoder, "words", ())),
        )
        self._mean = torch.tensor(MEAN, device=device).view(3, 1, 1)
        self._deviation = torch.tensor(DEVIATION, device=device).view(3, 1, 1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)

    def _batches(self, indices: Sequence[int]) -> list[list[int]]:
        return [list(indices)] if self._batched else [[i] for i in indices]

    @torch.inference_mode()
    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Sequence[Features]:
        features: list[Features] = []
        for batch in self._batches(range(len(pictures))):
            pixels = torch.from_numpy(np.stack([pictures[i] for i in batch])).to(self._device)
            pixels = pixels.permute(0, 3, 1, 2).contiguous()
            images = (pixels.float() / 255.0 - self._mean) / self._deviation
            with self._autocast():
                backbone = self._model.forward_image(images)
            _, tops, positions, _ = self._model._prepare_backbone_features(backbone)
            first, second, _ = backbone["backbone_fpn"]
            features += [
                Features(
                    (first[k : k + 1], second[k : k + 1]),
                    tops[-1][:, k : k + 1],
                    positions[-1][:, k : k + 1],
                )
                for k in range(len(batch))
            ]
        return features

    @torch.inference_mode()
    def attend(
        self, features: Sequence[Features], recalls: Sequence[Recall | None]
    ) -> Sequence[Tensor]:
        result: dict[int, Tensor] = {}
        for indices in by_shape(recalls).values():
            for batch in self._batches(indices):
                group = [recall for i in batch if (recall := recalls[i]) is not None]
                tops = _cat([features[i].top for i in batch], 1)
                positions = _cat([features[i].position for i in batch], 1)
                conditioned = (
                    self._attend_batch(tops, positions, group)
                    if group
                    else tops + self._model.no_mem_embed
                )
                result.update(zip(batch, self._map(conditioned), strict=True))
        return [result[i] for i in range(len(recalls))]

    def _attend_batch(self, tops: Tensor, positions: Tensor, recalls: Sequence[Recall]) -> Tensor:
        model = self._model
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
                curr=tops,
                curr_pos=positions,
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
        self,
        features: Sequence[Features],
        conditioned: Sequence[Tensor],
        points: Points | None = None,
        logits: Tensor | None = None,
    ) -> Sequence[Decoded]:
        least, most = self.spec.multimask_points
        inputs: dict[str, Any] = {
            "multimask_output": least <= (0 if points is None else len(points.labels)) <= most
        }
        if points is not None:
            inputs["point_inputs"] = {
                "point_coords": torch.from_numpy(points.coordinates)[None].to(self._device),
                "point_labels": torch.from_numpy(points.labels)[None].to(self._device),
            }
        if logits is not None:
            inputs["mask_inputs"] = logits[None, None].clamp(-LOGIT_CLAMP, LOGIT_CLAMP)
        decoded: list[Decoded] = []
        for batch in self._batches(range(len(features))):
            with self._autocast():
                _, _, ious, low, full, pointers, scores = self._model._forward_sam_heads(
                    backbone_features=_stack([conditioned[i] for i in batch]),
                    high_res_features=[
                        _cat([features[i].high[level] for i in batch], 0) for level in (0, 1)
                    ],
                    **inputs,
                )
            numbers = torch.stack([scores[:, 0].float(), ious.amax(dim=1).float()], 1).tolist()
            decoded += [
                Decoded(low[k, 0].float(), pointers[k].float(), score, iou, full[k, 0].float())
                for k, (score, iou) in enumerate(numbers)
            ]
        return decoded

    @torch.inference_mode()
    def decode_mask(self, features: Features, mask: NDArray[np.bool_]) -> Decoded:
        size = self.spec.image_size
        given = torch.from_numpy(mask)[None, None].float().to(self._device)
        if mask.shape != (size, size):
            given = F.interpolate(given, (size, size), mode="bilinear", antialias=True)
            given = (given >= 0.5).float()
        top = self._map(features.top)
        low, *_, pointers, scores = self._model._use_mask_as_output(top, list(features.high), given)
        return Decoded(low[0, 0], pointers[0], float(scores[0, 0]), 1.0)

    @torch.inference_mode()
    def encode_memory(
        self, features: Sequence[Features], decoded: Sequence[Decoded], prompted: bool
    ) -> Sequence[Tensor]:
        memories: list[Tensor] = []
        for batch in self._batches(range(len(features))):
            full = torch.stack([self._enlarged(decoded[i], prompted) for i in batch])
            scores = torch.tensor([[decoded[i].score] for i in batch], device=self._device)
            with self._autocast():
                encoded, _ = self._model._encode_new_memory(
                    current_vision_feats=[_cat([features[i].top for i in batch], 1)],
                    feat_sizes=[(self._side, self._side)],
                    pred_masks_high_res=full[:, None],
                    object_score_logits=scores,
                    is_mask_from_pts=prompted,
                )
            memories += encoded.to(torch.bfloat16)
        return memories

    def _enlarged(self, decoded: Decoded, prompted: bool) -> Tensor:
        """The logits at the input's size. The official predictor enlarges a prompted frame's mask
        anew, which rounds differently."""
        if decoded.full is not None and not prompted:
            return decoded.full  # type: ignore[no-any-return]
        size = self.spec.image_size
        return F.interpolate(
            decoded.logits[None, None], (size, size), mode="bilinear", align_corners=False
        )[0, 0]

    def _map(self, sequence: Tensor) -> Tensor:
        """[h * w, N, C] -> [N, C, h, w]."""
        return sequence.permute(1, 2, 0).reshape(*sequence.shape[1:], self._side, self._side)

    def to_array(self, tensor: Tensor) -> NDArray[np.float32] | NDArray[np.uint16]:
        if tensor.dtype == torch.bfloat16:
            bits: NDArray[np.uint16] = tensor.cpu().contiguous().view(torch.uint16).numpy()
            return bits
        array: NDArray[np.float32] = tensor.float().cpu().numpy()
        return array

    def to_tensor(self, array: NDArray[np.float32] | NDArray[np.uint16]) -> Tensor:
        tensor = torch.from_numpy(array.copy())
        if array.dtype == np.uint16:
            tensor = tensor.view(torch.bfloat16)
        return tensor.to(self._device)


# A tensor that is alone keeps its layout in memory, as in the official predictor: another layout
# is computed in another order, and rounds differently.


def _cat(tensors: Sequence[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), dim)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))

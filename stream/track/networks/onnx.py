"""Exported graphs under ONNX Runtime: the embedded model, with no torch in sight.

The folder holds `manifest.json` and the graphs that stream.training.export writes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stream.errors import ModelError
from stream.track.networks.base import (
    HIDDEN_LOGIT,
    PADDING,
    Decoded,
    Points,
    Recall,
    Spec,
    by_shape,
)

FORMAT = 1
"""Of the folder; a program reads only its own."""

GRAPHS = {name: f"{name}.onnx" for name in ("encode_image", "attend", "decode", "encode_memory")}

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Features:
    """One encoded picture: [1, C/8, S/4, S/4], [1, C/4, S/8, S/8], [1, C, S/16, S/16]."""

    high: Array
    middle: Array
    top: Array


class OnnxNetwork:
    """folder: with the graphs. threads: of the CPU that one call uses.

    Raises ModelError when the folder does not hold a model of this program's format.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        try:
            manifest = json.loads((folder / "manifest.json").read_text())
        except (OSError, ValueError) as error:
            raise ModelError(f"no model in {folder}: {error}") from error
        if manifest.get("format") != FORMAT:
            raise ModelError(
                f"the model in {folder} has format {manifest.get('format')}; this version reads "
                f"format {FORMAT}; export it again with python -m stream.training.export"
            )
        self.spec = Spec(
            manifest["image_size"],
            manifest["num_memories"],
            manifest["num_pointers"],
            tuple(manifest["multimask_points"]),
        )
        self._stability: dict[str, float] | None = manifest["stability"]
        self._logit_clamp: float = manifest["logit_clamp"]
        self._no_memory = np.array(manifest["no_memory"], np.float32)[:, None, None]
        self._no_object_pointer = np.array(manifest["no_object_pointer"], np.float32)
        downsample = manifest["mask_downsample"]
        self._downsample = np.array(downsample["weight"], np.float32).reshape(4, 4)
        self._downsample_bias = np.float32(downsample["bias"][0])
        self._sessions = {name: _open(folder / file, threads) for name, file in GRAPHS.items()}

    def _run(self, graph: str, **inputs: NDArray[Any]) -> list[Array]:
        outputs: list[Array] = self._sessions[graph].run(None, inputs)
        return outputs

    def encode_image(self, rgb: NDArray[np.uint8]) -> Features:
        return Features(*self._run("encode_image", rgb=np.ascontiguousarray(rgb)[None]))

    def attend(self, features: Features, recalls: Sequence[Recall | None]) -> Array:
        result = np.empty((len(recalls), *features.top.shape[1:]), np.float32)
        for indices in by_shape(recalls).values():
            group = [recall for i in indices if (recall := recalls[i]) is not None]
            result[indices] = (
                self._attend_batch(features, group) if group else features.top + self._no_memory
            )
        return result

    def _attend_batch(self, features: Features, recalls: Sequence[Recall]) -> Array:
        (conditioned,) = self._run(
            "attend",
            top=features.top,
            memories=from_bfloat16(np.stack([np.stack(recall.spatial) for recall in recalls])),
            distances=np.array([recall.spatial_distances for recall in recalls], np.int64),
            pointers=np.stack([np.stack(recall.pointers) for recall in recalls]),
            pointer_distances=np.array(
                [recall.pointer_distances for recall in recalls], np.float32
            ),
        )
        return conditioned

    def decode(
        self, features: Features, conditioned: Array, points: Points | None, logits: Array | None
    ) -> Decoded:
        objects = len(conditioned)
        if points is None:
            points = Points(
                np.zeros((objects, 1, 2), np.float32), np.full((objects, 1), PADDING, np.int32)
            )
            count = 0
        else:
            count = points.labels.shape[1]
        least, most = self.spec.multimask_points
        if logits is not None:
            logits = np.clip(logits, -self._logit_clamp, self._logit_clamp)
        return self._heads(features, conditioned, points, logits, least <= count <= most)

    def decode_mask(self, features: Features, mask: NDArray[np.bool_]) -> Decoded:
        size = self.spec.image_size
        full = resize(mask.astype(np.float32), size, size) >= 0.5
        logits = resize(np.where(full, np.float32(10), np.float32(-10)), size // 4, size // 4)
        cells = full.astype(np.float32).reshape(size // 4, 4, size // 4, 4)
        prompt = np.einsum("yaxb,ab->yx", cells, self._downsample) + self._downsample_bias
        padding = Points(np.zeros((1, 1, 2), np.float32), np.full((1, 1), PADDING, np.int32))
        decoded = self._heads(features, features.top, padding, prompt[None], multimask=False)
        present = bool(full.any())
        return Decoded(
            logits[None],
            decoded.pointers if present else self._no_object_pointer[None],
            np.array([10.0 if present else -10.0], np.float32),
            np.ones(1, np.float32),
        )

    def _heads(
        self,
        features: Features,
        conditioned: Array,
        points: Points,
        logits: Array | None,
        multimask: bool,
    ) -> Decoded:
        objects, side = len(conditioned), self.spec.image_size // 4
        blank = logits is None
        masks, ious, pointers, scores = self._run(
            "decode",
            conditioned=conditioned,
            high=features.high,
            middle=features.middle,
            points=points.coordinates,
            labels=points.labels,
            logits=np.zeros((objects, side, side), np.float32) if logits is None else logits,
            given=np.full(objects, 0 if blank else 1, np.float32),
        )
        every = np.arange(objects)
        best = 1 + ious[:, 1:].argmax(axis=1)
        mask_choice = best if multimask else self._stable_choice(masks[:, 0], best)
        pointer_choice = best if multimask else np.zeros_like(best)
        present = scores > 0
        return Decoded(
            np.where(present[:, None, None], masks[every, mask_choice], np.float32(HIDDEN_LOGIT)),
            np.where(present[:, None], pointers[every, pointer_choice], self._no_object_pointer),
            scores,
            ious[every, mask_choice],
        )

    def _stable_choice(self, single: Array, best: NDArray[np.intp]) -> NDArray[np.intp]:
        """The single mask (0) where it is stable under its threshold, else the best of three."""
        if self._stability is None:
            return np.zeros_like(best)
        delta = self._stability["delta"]
        inner = np.count_nonzero(single > delta, axis=(1, 2))
        outer = np.count_nonzero(single > -delta, axis=(1, 2))
        stability = np.where(outer > 0, inner / np.maximum(outer, 1), 1.0)
        return np.where(stability >= self._stability["threshold"], 0, best)

    def encode_memory(
        self, features: Features, decoded: Decoded, prompted: bool
    ) -> Sequence[NDArray[np.uint16]]:
        (memory,) = self._run(
            "encode_memory",
            top=features.top,
            logits=decoded.logits,
            scores=decoded.scores,
            prompted=np.full(1, float(prompted), np.float32),
        )
        return tuple(to_bfloat16(memory))

    def stack(self, tensors: Sequence[Array]) -> Array:
        return np.stack(tensors)

    def to_numpy(self, tensor: Array) -> Array:
        return tensor


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin would take the cores from decoding and compositing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own kinds, without a common base
        raise ModelError(f"cannot read the graph {path}: {error}") from error


def to_bfloat16(values: Array) -> NDArray[np.uint16]:
    """Round float32 to the nearest bfloat16, ties to even; its bits as uint16."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded: NDArray[np.uint16] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded


def from_bfloat16(bits: NDArray[np.uint16]) -> Array:
    values: Array = (bits.astype(np.uint32) << 16).view(np.float32)
    return values


def resize(picture: Array, height: int, width: int) -> Array:
    """Bilinear with antialiasing, as torch's interpolate(antialias=True) does it.

    picture: float32 [H, W]. Returns float32 [height, width].
    """
    rows = _triangle(picture.shape[0], height)
    columns = _triangle(picture.shape[1], width)
    resized: Array = rows @ (picture @ columns.T)
    return resized


def _triangle(source: int, target: int) -> Array:
    """[target, source] weights of a triangle filter, widened when it makes smaller."""
    scale = source / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / support
    weights = np.maximum(1.0 - distance, 0.0)
    normalised: Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised

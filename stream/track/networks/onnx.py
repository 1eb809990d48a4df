"""Exported graphs under ONNX Runtime: the embedded model, with no torch in sight.

The folder holds `manifest.json` and the graphs that stream.training.export writes. Each object
runs by itself: batches changed the last bit of an object's logits when another one came or went,
and were no faster than several objects side by side on a core each (docs/performance.md).
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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
)
from stream.track.networks.width import Width

FORMAT = 2
"""Of the folder; a program reads only its own."""

GRAPHS = {name: f"{name}.onnx" for name in ("encode_image", "attend", "decode", "encode_memory")}

Array = NDArray[np.float32]
Sessions = dict[str, onnxruntime.InferenceSession]
Answer = TypeVar("Answer")

NO_POINTS = Points(np.zeros((1, 2), np.float32), np.full(1, PADDING, np.int32))


@dataclass(frozen=True, slots=True)
class Features:
    """One encoded picture: [1, C/8, S/4, S/4], [1, C/4, S/8, S/8], [1, C, h, w] with h = w = S/16.

    state, queries: of memory attention's first layer, which the picture's objects have in common,
    [h * w, C].
    """

    high: Array
    middle: Array
    top: Array
    state: Array
    queries: Array


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
            tuple(manifest.get("words", ())),
        )
        self._stability: dict[str, float] | None = manifest["stability"]
        self._logit_clamp: float = manifest["logit_clamp"]
        self._no_memory = np.array(manifest["no_memory"], np.float32)[:, None, None]
        self._no_object_pointer = np.array(manifest["no_object_pointer"], np.float32)
        downsample = manifest["mask_downsample"]
        self._downsample = np.array(downsample["weight"], np.float32).reshape(4, 4)
        self._downsample_bias = np.float32(downsample["bias"][0])
        paths = {name: folder / file for name, file in GRAPHS.items()}
        self._alone: Sessions = {
            # The decoder's many small operators gain nothing from a second thread.
            name: _open(path, 1 if name == "decode" else threads)
            for name, path in paths.items()
        }
        self._beside = self._alone
        if threads > 1:
            narrow = {name: _open(path, 1) for name, path in paths.items() if name != "decode"}
            self._beside = self._alone | narrow
        self._pool = ThreadPoolExecutor(threads, "network")
        self._width = Width()

    def _each(self, answer: Callable[..., Answer], *objects: Iterable[Any]) -> Sequence[Answer]:
        """answer(sessions, ...) for each object: a lone one on all threads if that pays, several
        side by side on one thread each. The number of threads does not change a bit."""
        arguments = list(zip(*objects, strict=True))
        if len(arguments) == 1:
            return [answer(self._alone if self._width.pays else self._beside, *arguments[0])]
        return list(self._pool.map(lambda given: answer(self._beside, *given), arguments))

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Sequence[Features]:
        def encode(sessions: Sessions, picture: NDArray[np.uint8]) -> Features:
            return Features(
                *_run(sessions, "encode_image", rgb=np.ascontiguousarray(picture)[None])
            )

        if len(pictures) > 1:
            return self._each(encode, pictures)
        # Of all calls this one costs most, and always the same.
        wide, began = self._width.next(), time.perf_counter()
        features = encode(self._alone if wide else self._beside, pictures[0])
        self._width.took(wide, time.perf_counter() - began)
        return [features]

    def attend(
        self, features: Sequence[Features], recalls: Sequence[Recall | None]
    ) -> Sequence[Array]:
        return self._each(self._attend, features, recalls)

    def _attend(self, sessions: Sessions, features: Features, recall: Recall | None) -> Array:
        if recall is None:
            first: Array = features.top[0] + self._no_memory
            return first
        (conditioned,) = _run(
            sessions,
            "attend",
            state=features.state,
            queries=features.queries,
            memories=from_bfloat16(np.stack(recall.spatial))[None],
            distances=np.array([recall.spatial_distances], np.int64),
            pointers=np.stack(recall.pointers)[None],
            pointer_distances=np.array([recall.pointer_distances], np.float32),
        )
        only: Array = conditioned[0]
        return only

    def decode(
        self,
        features: Sequence[Features],
        conditioned: Sequence[Array],
        points: Points | None = None,
        logits: Array | None = None,
    ) -> Sequence[Decoded]:
        least, most = self.spec.multimask_points
        multimask = least <= (0 if points is None else len(points.labels)) <= most
        if logits is not None:
            logits = np.clip(logits, -self._logit_clamp, self._logit_clamp)

        def heads(sessions: Sessions, one: Features, maps: Array) -> Decoded:
            return self._heads(sessions, one, maps, points or NO_POINTS, logits, multimask)

        return self._each(heads, features, conditioned)

    def decode_mask(self, features: Features, mask: NDArray[np.bool_]) -> Decoded:
        size = self.spec.image_size
        full = resize(mask.astype(np.float32), size, size) >= 0.5
        logits = resize(np.where(full, np.float32(10), np.float32(-10)), size // 4, size // 4)
        cells = full.astype(np.float32).reshape(size // 4, 4, size // 4, 4)
        prompt = np.einsum("yaxb,ab->yx", cells, self._downsample) + self._downsample_bias
        decoded = self._heads(
            self._alone, features, features.top[0], NO_POINTS, prompt, multimask=False
        )
        if full.any():
            return Decoded(logits, decoded.pointer, 10.0, 1.0)
        return Decoded(logits, self._no_object_pointer, -10.0, 1.0)

    def _heads(
        self,
        sessions: Sessions,
        features: Features,
        conditioned: Array,
        points: Points,
        logits: Array | None,
        multimask: bool,
    ) -> Decoded:
        side = self.spec.image_size // 4
        masks, ious, pointers, scores = _run(
            sessions,
            "decode",
            conditioned=conditioned[None],
            high=features.high,
            middle=features.middle,
            points=points.coordinates[None],
            labels=points.labels[None],
            logits=np.zeros((1, side, side), np.float32) if logits is None else logits[None],
            given=np.array([logits is not None], np.float32),
        )
        best = 1 + int(ious[0, 1:].argmax())
        choice = best if multimask or not self._is_stable(masks[0, 0]) else 0
        score = float(scores[0])
        return Decoded(
            masks[0, choice] if score > 0 else np.full_like(masks[0, 0], HIDDEN_LOGIT),
            pointers[0, best if multimask else 0] if score > 0 else self._no_object_pointer,
            score,
            float(ious[0, choice]),
        )

    def _is_stable(self, logits: Array) -> bool:
        """Whether the single mask hardly depends on the threshold; else the best of three is
        taken (SAM 2's dynamic_multimask_via_stability)."""
        if self._stability is None:
            return True
        delta = self._stability["delta"]
        inner, outer = np.count_nonzero(logits > delta), np.count_nonzero(logits > -delta)
        return bool(not outer or inner / outer >= self._stability["threshold"])

    def encode_memory(
        self, features: Sequence[Features], decoded: Sequence[Decoded], prompted: bool
    ) -> Sequence[NDArray[np.uint16]]:
        def encode(sessions: Sessions, one: Features, answer: Decoded) -> NDArray[np.uint16]:
            (memory,) = _run(
                sessions,
                "encode_memory",
                top=one.top,
                logits=answer.logits[None],
                scores=np.array([answer.score], np.float32),
                prompted=np.array([prompted], np.float32),
            )
            return to_bfloat16(memory[0])

        return self._each(encode, features, decoded)

    def to_array(self, tensor: NDArray[Any]) -> NDArray[Any]:
        return tensor

    def to_tensor(self, array: NDArray[Any]) -> NDArray[Any]:
        return array


def _run(sessions: Sessions, graph: str, **inputs: NDArray[Any]) -> list[Array]:
    outputs: list[Array] = sessions[graph].run(None, inputs)
    return outputs


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

"""A model run through a batch of clips as a user would: prompt, correct, track, correct again.

What is SAM 2's here is arXiv 2408.00714, section 4 and appendix D.2.2. The image encoder runs once
a picture; every object of the picture is decoded from it by itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from stream.training import prompting
from stream.training.prompting import Kind, Points

LOGIT_CLAMP = 32.0
"""Of logits that are fed back with a further click, as in the official predictor."""

FRAMES = 10**6
"""More than any clip has, for SAM 2's scale of the object pointers' distances."""


@dataclass(frozen=True, slots=True)
class Batch:
    """images: RGB uint8 [T, B, 3, S, S]. masks: bool [T, N, S, S]. owner: the picture of each
    object, int64 [N]. words: of each object that is asked for by one, int32 [N] or empty."""

    images: Tensor
    masks: Tensor
    owner: Tensor
    words: Tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user does: the prompt on frame 0, then so many clicks on these frames."""

    prompt: Kind
    clicks: dict[int, int]


@dataclass(frozen=True, slots=True)
class Decoding:
    """One run of the mask decoder: all its candidates before the object score empties any, and
    the mask that a user gets, bool [N, S, S]. Shapes as in `losses`."""

    frame: int
    clicks: int
    logits: Tensor
    ious: Tensor
    score: Tensor
    found: NDArray[np.bool_]


class Unroller:
    """Runs `model` over batches; the decoder's raw output is kept from its forward hook."""

    def __init__(
        self, model: SAM2Base, random: np.random.Generator | None, elsewhere: float = 0.0
    ) -> None:
        """random: for the prompts; None: always the same, in the middle. elsewhere: see
        `prompting.corrections`."""
        self.model: Any = model
        self.random = random
        self.elsewhere = elsewhere
        self._raw: tuple[Tensor, ...] = ()
        self._hook = model.sam_mask_decoder.register_forward_hook(self._keep)

    def close(self) -> None:
        """Take the hook off the model."""
        self._hook.remove()

    def _keep(self, module: object, inputs: object, output: tuple[Tensor, ...]) -> None:
        self._raw = output

    def run(self, batch: Batch, images: Tensor, plan: Plan) -> list[Decoding]:
        """All decodings in order. images: the batch's, normalised, float32 [T, B, 3, S, S]."""
        frames, pictures = images.shape[:2]
        encoded = self.model.forward_image(
            images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        )
        _, features, positions, sizes = self.model._prepare_backbone_features(encoded)
        memory: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        decodings: list[Decoding] = []
        for frame in range(frames):
            rows = frame * pictures + batch.owner
            view = [f[:, rows] for f in features], [p[:, rows] for p in positions], sizes
            truth = batch.masks[frame].numpy()
            self._frame(frame, view, truth, batch, plan, memory, decodings, frame + 1 < frames)
        return decodings

    def _frame(
        self,
        frame: int,
        view: tuple[list[Tensor], list[Tensor], list[tuple[int, int]]],
        truth: NDArray[np.bool_],
        batch: Batch,
        plan: Plan,
        memory: dict[str, dict[int, Any]],
        decodings: list[Decoding],
        more: bool,
    ) -> None:
        first = frame == 0
        points, mask = self._prompt(plan.prompt, truth, batch.words) if first else (None, None)
        _, heads, high, features = self.model._track_step(
            frame, first, *view, points, mask, memory, FRAMES, False, None
        )
        given = mask is not None
        clicks = plan.clicks.get(frame, 0)
        if not given:
            decodings.append(self._decoding(frame, 0, heads))
            others = _others(truth, batch.owner) if clicks else truth
            for count in range(1, clicks + 1):
                points, heads = self._correct(heads, high, features, points, truth, others, first)
                decodings.append(self._decoding(frame, count, heads))
        if more:
            output = {"obj_ptr": heads[5], "pred_masks": heads[3]}
            self.model._encode_memory_in_output(
                view[0], view[2], points, True, heads[4], heads[6], output
            )
            kind = "cond_frame_outputs" if first or clicks else "non_cond_frame_outputs"
            memory[kind][frame] = output

    def _prompt(
        self, kind: Kind, truth: NDArray[np.bool_], words: Tensor
    ) -> tuple[Points | None, Tensor | None]:
        if kind == "word":
            return prompting.words(words), None
        if kind == "mask":
            return None, torch.from_numpy(truth)[:, None].float()
        if kind == "box":
            return prompting.boxes(truth, self.random), None
        return prompting.first_clicks(truth, self.random), None

    def _correct(
        self,
        heads: Any,
        high: list[Tensor],
        features: Tensor,
        points: Points | None,
        truth: NDArray[np.bool_],
        others: NDArray[np.bool_],
        first: bool,
    ) -> tuple[Points, Any]:
        found = _found(heads)
        click = prompting.corrections(found, truth, others, self.random, self.elsewhere)
        points = prompting.join(points, click) if points else click
        heads = self.model._forward_sam_heads(
            backbone_features=features,
            point_inputs=points,
            mask_inputs=heads[3].detach().clamp(-LOGIT_CLAMP, LOGIT_CLAMP),
            high_res_features=high,
            multimask_output=self.model._use_multimask(first, points),
        )
        return points, heads

    def _decoding(self, frame: int, clicks: int, heads: Any) -> Decoding:
        logits, ious, _, score = self._raw
        return Decoding(frame, clicks, logits, ious, score, _found(heads))


def _found(heads: Any) -> NDArray[np.bool_]:
    """bool [N, S, S]: the mask that was taken."""
    found: NDArray[np.bool_] = (heads[4].detach()[:, 0] > 0).numpy()
    return found


def _others(truth: NDArray[np.bool_], owner: Tensor) -> NDArray[np.bool_]:
    """bool [N, S, S]: where the same picture's other objects are, or, for a lone one, all
    that is not the object."""
    owners = owner.numpy()
    others = np.empty_like(truth)
    for i, mask in enumerate(truth):
        beside = np.flatnonzero(owners == owners[i])
        union = truth[beside[beside != i]].any(axis=0) & ~mask
        others[i] = union if union.any() else ~mask
    return others

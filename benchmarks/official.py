"""The official SAM2VideoPredictor, driven as a stream, for comparison with our tracker."""

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.sam2_video_predictor import SAM2VideoPredictor

from stream.frames import Image
from stream.prompts import Box, MaskPrompt, Point, Prompt
from stream.track.networks.sam2 import DEVIATION, MEAN

Logits = dict[int, NDArray[np.float32]]
"""Object id -> logits, float32 [height, width] at the source picture's size."""


class OfficialStream:
    """Feeds the predictor one frame after another, prompts in between.

    model: the predictor; its own hole filling must be off (it is applied to outputs only).
    images: all frames of the clip, since the official predictor wants them in advance.
    """

    def __init__(self, model: SAM2VideoPredictor, images: Sequence[Image]) -> None:
        assert model.fill_hole_area == 0
        pixels = torch.from_numpy(np.stack([image.rgb for image in images]))
        frames = pixels.permute(0, 3, 1, 2).contiguous().float() / 255.0
        frames = (frames - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
        loaded = (frames, images[0].height, images[0].width)
        with patch("sam2.sam2_video_predictor.load_video_frames", return_value=loaded):
            self.state = model.init_state("")
        # A stream has no end: pointers' time is then always divided by max_obj_ptrs - 1.
        self.state["num_frames"] = 1_000_000
        self._model = model

    def advance(self, index: int) -> Logits:
        """Track all objects into frame `index`."""
        if not self.state["obj_ids"]:
            return {}
        with patch("sam2.sam2_video_predictor.tqdm", lambda frames, desc: frames):
            ((_, ids, masks),) = self._model.propagate_in_video(
                self.state, start_frame_idx=index, max_frame_num_to_track=0
            )
        return _by_object(ids, masks)

    def prompt(self, index: int, prompts: Sequence[Prompt]) -> Logits:
        """One call of the predictor for one object: a mask, or points and at most one box."""
        (object_id,) = {prompt.object_id for prompt in prompts}
        if isinstance(prompts[0], MaskPrompt):
            answer = self._model.add_new_mask(self.state, index, object_id, prompts[0].mask)
        else:
            points = [prompt for prompt in prompts if isinstance(prompt, Point)]
            boxes = [prompt for prompt in prompts if isinstance(prompt, Box)]
            answer = self._model.add_new_points_or_box(
                self.state,
                index,
                object_id,
                points=[[point.x, point.y] for point in points] if points else None,
                labels=[int(point.positive) for point in points] if points else None,
                box=[boxes[0].x0, boxes[0].y0, boxes[0].x1, boxes[0].y1] if boxes else None,
                clear_old_points=bool(boxes),
            )
        return _by_object(answer[1], answer[2])


def _by_object(ids: Sequence[int], masks: torch.Tensor) -> Logits:
    return {id: mask[0].numpy().copy() for id, mask in zip(ids, masks, strict=True)}

"""How good a model is on pictures that it is never trained on, always the same ones.

J is the mean IoU over the objects. `which` is the share of clicks, among those on pictures with
several objects, whose mask overlaps the object clicked on more than any other. `lone` is J of one
click on the other pictures: on a whole person or car where the labels are its parts, else on the
first object. For clips, J counts where an object is there and `gone` is the share of absent
objects that are given no mask; so do `word` and `unsaid` for objects that are asked for by a word.
"""

import random
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from tqdm import tqdm

from stream.training.clips import Clip, ClipMaker, Recipe
from stream.training.library import Library, read_labels, read_rgb, targets
from stream.training.loader import collate
from stream.training.normalise import normalise
from stream.training.unroll import Batch, Plan, Unroller

PICTURES = 120
SPOKEN = 60
CLIPS = 24
CLIP_FRAMES = 6
SEVERAL = 2
"""Of three pictures have several objects, so that it matters where a click lands."""

SEED = 2408_00714


class Validation:
    """The validation pictures and clips below `root`, made once.

    size: side in pixels. share: of PICTURES and CLIPS, for a quicker and rougher answer.
    """

    def __init__(self, root: Path, size: int, share: float = 1.0) -> None:
        rng = random.Random(SEED)
        library = Library(root, "validation")
        self.pictures = _pictures(library, rng, size, max(1, int(PICTURES * share)))
        teller = ClipMaker(library, Recipe(objects=3, spoken=True), rng, size)
        self.spoken = [teller.make() for _ in range(max(1, int(SPOKEN * share)))]
        recipe = Recipe(CLIP_FRAMES, objects=3, pasted=0.4, leaving=0.5, cuts=0.1)
        maker = ClipMaker(library, recipe, rng, size)
        self.clips = [maker.make() for _ in range(max(1, int(CLIPS * share)))]

    @torch.inference_mode()
    def measure(self, model: SAM2Base) -> dict[str, float]:
        """All measures by their names, 0 to 1. The model is left in evaluation mode."""
        model.eval()
        found: dict[str, list[float]] = {}
        unroller = Unroller(model, None)
        try:
            with tqdm(
                total=len(self.pictures) + len(self.spoken) + len(self.clips),
                desc="validation",
                leave=False,
            ) as bar:
                for clip in self.spoken:
                    _measure_words(unroller, collate([clip]), found)
                    bar.update()
                for clip in self.pictures:
                    _measure_picture(unroller, collate([clip]), found)
                    bar.update()
                for clip in self.clips:
                    _measure_clip(unroller, collate([clip]), found)
                    bar.update()
        finally:
            unroller.close()
        return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def _pictures(library: Library, rng: random.Random, size: int, count: int) -> list[Clip]:
    """Whole pictures as they are, stretched to a square, drawn by the weights of their sources."""
    clips: list[Clip] = []
    seen: set[str] = set()
    attempts = 0
    while len(clips) < count and attempts < 50 * count:
        attempts += 1
        picture = library.draw(rng)
        if picture.name in seen:
            continue
        seen.add(picture.name)
        labels = read_labels(picture)
        square = cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST)
        several = len(clips) % 3 < SEVERAL
        # A person and her dress overlap: which of them a click means nobody could say.
        found = [t for t in targets(picture, labels) if len(t) == 1 or not several]
        masks = [np.isin(square, target) for target in found]
        masks = [mask for mask in masks if np.count_nonzero(mask) > size * size // 500]
        if len(masks) < (2 if several else 1):
            continue
        masks = rng.sample(masks, min(4, len(masks))) if several else masks[:1]
        rgb = cv2.resize(read_rgb(picture.image), (size, size), interpolation=cv2.INTER_AREA)
        clips.append(Clip(rgb[None].astype(np.uint8), np.stack(masks)[:, None]))
    return clips


def _measure_picture(unroller: Unroller, batch: Batch, found: dict[str, list[float]]) -> None:
    images = normalise(batch.images)
    truth = batch.masks[0].numpy()
    clicked = unroller.run(batch, images, Plan("click", {0: 2}))
    boxed = unroller.run(batch, images, Plan("box", {}))
    for name, masks in (
        ("click", clicked[0].found),
        ("clicks3", clicked[2].found),
        ("box", boxed[0].found),
    ):
        found.setdefault(name, []).extend(_iou(m, t) for m, t in zip(masks, truth, strict=True))
    empty = [not mask.any() for mask in (*clicked[2].found, *boxed[0].found)]
    found.setdefault("empty", []).extend(map(float, empty))
    if len(truth) > 1:
        found.setdefault("which", []).extend(_right(clicked[0].found, truth))
    else:
        found.setdefault("lone", []).append(_iou(clicked[0].found[0], truth[0]))


def _measure_words(unroller: Unroller, batch: Batch, found: dict[str, list[float]]) -> None:
    (decoding,) = unroller.run(batch, normalise(batch.images), Plan("word", {}))
    _note(decoding.found, batch.masks[0].numpy(), "word", "unsaid", found)


def _measure_clip(unroller: Unroller, batch: Batch, found: dict[str, list[float]]) -> None:
    images = normalise(batch.images)
    for kind in ("click", "mask"):
        for decoding in unroller.run(batch, images, Plan(kind, {})):
            if decoding.frame == 0:
                continue
            truth = batch.masks[decoding.frame].numpy()
            _note(decoding.found, truth, f"track_{kind}", "gone", found)


def _note(
    masks: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    there: str,
    absent: str,
    found: dict[str, list[float]],
) -> None:
    for mask, true in zip(masks, truth, strict=True):
        if true.any():
            found.setdefault(there, []).append(_iou(mask, true))
        else:
            found.setdefault(absent, []).append(float(not mask.any()))


def _right(masks: NDArray[np.bool_], truth: NDArray[np.bool_]) -> list[float]:
    """For each mask, 1.0 if it overlaps its own object more than any other."""
    table = np.array([[_iou(mask, true) for true in truth] for mask in masks])
    own = np.diag(table).copy()
    np.fill_diagonal(table, -1.0)
    return [float(value) for value in own > table.max(axis=1)]


def _iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0

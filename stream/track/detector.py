"""Any phrase -> boxes on one picture: Grounding DINO (arXiv 2303.05499) through `transformers`.

Chosen over OWLv2 for what is written in docs/models.md. Only the network and the tokenizer are
taken from there: pictures are prepared here, so that torchvision and Pillow are not needed.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import ModelError
from stream.limits import MAX_FOUND

KIND = "grounding-dino"
"""The `model_type` that a folder's config.json must name."""

PUBLISHED = "IDEA-Research/grounding-dino-tiny"

SHORT_SIDE, SHORT_SIDE_CUDA = 480, 800
"""Pixels of the shorter side. 800 is what it was trained at, and 480 takes a third of the time."""

LONG_SIDE = 5 / 3
"""The longer side, at most, in shorter ones: as 1333 to 800."""

MIN_SCORE = 0.3
"""Of a box that counts; its authors use 0.25 to 0.4."""

MIN_SHARE = 0.6
"""A box's score in that of the best one, so that a sure find leaves the doubtful ones out."""

MAX_OVERLAP = 0.6
"""Intersection over union of two boxes that are two things."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True, slots=True)
class Found:
    """A box as shares of the picture's width and height, 0 to 1; score 0 to 1."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float


def has_extra() -> bool:
    """Whether what it needs is installed; nothing is imported."""
    return all(importlib.util.find_spec(module) for module in ("transformers", "torch"))


def prepare(name: str) -> None:
    """Check all that can be without loading anything. name: a folder, or a model of the hub.

    Raises ModelError that says what to install or to put where.
    """
    if not has_extra():
        raise ModelError(
            f"text_model {name} needs PyTorch and transformers; "
            "install them with: pip install 'segstream[text]'"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        for file in ("config.json", "model.safetensors", "tokenizer_config.json"):
            if not (folder / file).exists():
                raise ModelError(
                    f"the text_model in {folder} lacks {file}; wanted the files of {PUBLISHED}"
                )
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"there is no folder {name} with a text_model; "
            f"give a folder, or a name of the Hugging Face hub such as {PUBLISHED}"
        )


def load(name: str, threads: int | None = None, device: str = "auto") -> "Detector":
    """The detector, on the calling thread's own number of threads. Raises ModelError.

    name: as for `prepare`; what the hub has is downloaded into its cache, once.
    device: as for stream.track.catalog.load.
    """
    prepare(name)
    _hide_broken_torchvision()
    import torch
    from transformers import AutoConfig, AutoTokenizer, GroundingDinoForObjectDetection
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of seconds; that of a download stays
    torch.set_num_threads(threads or os.cpu_count() or 1)
    cuda = device != "cpu" and torch.cuda.is_available()
    path = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        configuration = AutoConfig.from_pretrained(path)
        if configuration.model_type != KIND:
            raise ModelError(
                f"text_model {name} is a {configuration.model_type}; wanted a {KIND}, "
                f"such as {PUBLISHED}"
            )
        tokenizer = AutoTokenizer.from_pretrained(path)
        # safetensors: a pickle could run what it likes.
        model = GroundingDinoForObjectDetection.from_pretrained(path, use_safetensors=True)
    except ModelError:
        raise
    except Exception as error:
        # Whatever the libraries raise over files that are missing, damaged or of another model.
        reason = " ".join(f"{type(error).__name__} {error}".split())[:300]
        raise ModelError(
            f"text_model {name} cannot be loaded: {reason}. Without internet, put the files of "
            f"{PUBLISHED} into a folder and name that"
        ) from error
    return Detector(model.eval().to("cuda" if cuda else "cpu"), tokenizer, cuda)


class Detector:
    """model: a GroundingDinoForObjectDetection. tokenizer: the one that belongs to it."""

    def __init__(self, model: Any, tokenizer: Any, cuda: bool = False) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = "cuda" if cuda else "cpu"
        self._short = SHORT_SIDE_CUDA if cuda else SHORT_SIDE

    def find(self, rgb: NDArray[np.uint8], aspect: float, phrase: str) -> list[Found]:
        """What the phrase names, the surest first; at most MAX_FOUND.

        rgb: uint8 [H, W, 3]. aspect: width / height of what it shows, which it may not have.
        phrase: a line of text, as stream.track.words.phrase makes it.
        """
        import torch

        pixels = torch.from_numpy(prepared(rgb, aspect, self._short)).to(self._device)
        # Its authors trained it on phrases that end with a full stop.
        limit = self._model.config.max_text_len
        text = self._tokenizer(f"{phrase}.", return_tensors="pt", truncation=True, max_length=limit)
        ids = text["input_ids"].to(self._device)
        with torch.inference_mode():
            out = self._model(
                pixel_values=pixels,
                pixel_mask=torch.ones(pixels.shape[0], *pixels.shape[2:], dtype=torch.long).to(
                    self._device
                ),
                input_ids=ids,
                token_type_ids=torch.zeros_like(ids),
                attention_mask=torch.ones_like(ids),
            )
        # The score of a box is that of the token it fits best.
        scores = out.logits[0].float().sigmoid().amax(dim=-1).cpu().numpy()
        return chosen(out.pred_boxes[0].float().cpu().numpy(), scores)


def prepared(rgb: NDArray[np.uint8], aspect: float, short: int) -> NDArray[np.float32]:
    """The picture in its true shape, normalised: float32 [1, 3, h, w]."""
    long = round(short * min(max(aspect, 1 / aspect), LONG_SIDE))
    size = (long, short) if aspect >= 1 else (short, long)
    shaped = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    normal = (shaped.astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def chosen(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> list[Found]:
    """Which boxes count: sure enough, and each of another thing.

    boxes: [N, 4], centre and size, as shares of the picture. scores: [N].
    """
    found: list[Found] = []
    order = np.argsort(-scores, kind="stable")
    for i in order:
        least = max(MIN_SCORE, MIN_SHARE * float(scores[order[0]]))
        # A box that is not a number is not kept either.
        if not scores[i] >= least or len(found) == MAX_FOUND:
            break
        x, y, width, height = map(float, boxes[i])
        x0, x1 = max(x - width / 2, 0.0), min(x + width / 2, 1.0)
        y0, y1 = max(y - height / 2, 0.0), min(y + height / 2, 1.0)
        box = Found(x0, y0, x1, y1, float(scores[i]))
        if x0 < x1 and y0 < y1 and all(_overlap(box, other) <= MAX_OVERLAP for other in found):
            found.append(box)
    return found


def _overlap(one: Found, other: Found) -> float:
    """Intersection over union."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    both = max(width, 0.0) * max(height, 0.0)
    return both / (_area(one) + _area(other) - both)


def _area(box: Found) -> float:
    return (box.x1 - box.x0) * (box.y1 - box.y0)


def _hide_broken_torchvision() -> None:
    """transformers imports it where it is installed, and can do without; one that was built for
    another torch (CUDA's beside a CPU's) would end the import instead."""
    if "torchvision" in sys.modules:
        return
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        sys.modules["torchvision"] = None  # type: ignore[assignment]


def names(found: Sequence[Found]) -> str:
    """For the log."""
    return ", ".join(f"{box.score:.2f}" for box in found) or "nothing"

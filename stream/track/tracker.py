"""SAM 2, streaming: one call a frame, and memory that does not grow."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from stream.errors import InputError, LimitError, PromptError, UnknownObject
from stream.frames import Image, Masks
from stream.limits import MAX_OBJECTS, MAX_POINTS, MAX_UNDO
from stream.prompts import Box, MaskPrompt, Point, Prompt, check
from stream.track.bank import Memory, MemoryBank
from stream.track.networks.base import (
    BOX_END,
    BOX_START,
    NEGATIVE,
    POSITIVE,
    Decoded,
    Network,
    Points,
    Tensor,
)

Compat = Literal["live", "official"]

MAX_CONDITIONING = 4
"""Prompted frames an object attends to in live use: each costs as much as a tracked frame."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One object's answer on the current frame. logits: [S/4, S/4], pointer: [C]."""

    logits: Tensor
    pointer: Tensor
    score: float
    iou: float


@dataclass(slots=True)
class TrackedObject:
    """One object. Its clock counts the frames it was processed on, so that frames which were
    dropped leave no holes in its memory."""

    id: int
    bank: MemoryBank
    clock: int = 0
    tracked: bool = False
    points: tuple[tuple[float, float, int], ...] = ()
    conditioned: Tensor = None
    finding: Finding | None = None

    def copy(self) -> "TrackedObject":
        return replace(self, bank=self.bank.copy())


@dataclass(slots=True)
class _Undo:
    """The objects that one call of `prompt` touched, as they were; None: it did not exist."""

    before: dict[int, TrackedObject | None] = field(default_factory=dict)


class Tracker:
    """Tracks any number of objects through one stream.

    compat: "official" equals SAM2VideoPredictor, to the last bit under torch. "live" differs in
    what a person feels: corrections on tracked frames become conditioning frames, so that they
    stick (at most MAX_CONDITIONING; the first prompt is pinned), and all objects run in one
    batch, which rounds differently.

    Not thread-safe: one thread calls it.
    """

    def __init__(self, network: Network, compat: Compat = "live") -> None:
        self._network = network
        self._corrections_stick = compat == "live"
        self._one_by_one = compat == "official"
        self._max_conditioning = MAX_CONDITIONING if compat == "live" else None
        self._objects: dict[int, TrackedObject] = {}
        self._image: Image | None = None
        self._features: Tensor = None
        self._undo: deque[_Undo] = deque(maxlen=MAX_UNDO)

    @property
    def image_size(self) -> int:
        return self._network.spec.image_size

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self._objects)

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    def step(self, image: Image, prompts: Sequence[Prompt] = ()) -> Masks:
        """Track every object into the next frame, then apply the prompts to it.

        image: the next picture of the stream, at the network's size.
        Returns the masks of all objects on it. Points and boxes of one object in one call are
        decoded together, after its last mask. A prompt with a new object id starts that object.
        Raises PromptError or LimitError with nothing changed.
        Memory rule: SAM 2 (arXiv 2408.00714) section 4.
        """
        self._check(image, prompts)
        self._image = image
        self._features = self._network.encode_image(image.rgb)
        self._track()
        return self.prompt(prompts)

    def prompt(self, prompts: Sequence[Prompt]) -> Masks:
        """Apply prompts to the frame of the last step; see `step`."""
        if self._image is None:
            raise InputError("no picture yet; call step with a picture first")
        self._check(self._image, prompts)
        by_object: dict[int, list[Prompt]] = {}
        for prompt in prompts:
            by_object.setdefault(prompt.object_id, []).append(prompt)
        if by_object:
            before = {id: self._objects[id].copy() for id in by_object if id in self._objects}
            self._undo.append(_Undo({id: before.get(id) for id in by_object}))
        for object_id, given in by_object.items():
            self._prompt_object(object_id, given)
        return self._masks(self._image.index)

    def remove(self, object_id: int) -> None:
        """Forget one object; the others go on as if it had never been. Raises UnknownObject."""
        if object_id not in self._objects:
            raise UnknownObject(f"no object {object_id}; there are {list(self._objects)}")
        del self._objects[object_id]
        for undo in self._undo:
            undo.before.pop(object_id, None)
        self._undo = deque((undo for undo in self._undo if undo.before), maxlen=MAX_UNDO)

    def undo(self) -> None:
        """Take the last call's prompts back: its objects return to what they remembered before.

        An object that they started is gone. Raises InputError when there is nothing to undo.
        """
        if not self._undo:
            raise InputError("nothing to undo")
        for object_id, before in self._undo.pop().before.items():
            if before is None:
                self._objects.pop(object_id, None)
            else:
                self._objects[object_id] = before

    def reset(self) -> None:
        """Forget all objects."""
        self._objects.clear()
        self._undo.clear()

    def _check(self, image: Image, prompts: Sequence[Prompt]) -> None:
        size = self.image_size
        if image.rgb.shape != (size, size, 3):
            raise InputError(f"picture is {image.rgb.shape}; wanted ({size}, {size}, 3)")
        points = {id: len(tracked.points) for id, tracked in self._objects.items()}
        for prompt in prompts:
            check(prompt, image.width, image.height)
            is_new = prompt.object_id not in points
            if is_new and isinstance(prompt, Point) and not prompt.positive:
                raise PromptError(
                    f"the first point of object {prompt.object_id} is negative; "
                    "point at the object itself first"
                )
            points[prompt.object_id] = points.get(prompt.object_id, 0) + 1
            if points[prompt.object_id] > MAX_POINTS:
                raise LimitError(f"object {prompt.object_id} has {MAX_POINTS} points on this frame")
        if len(points) > MAX_OBJECTS:
            raise LimitError(f"{MAX_OBJECTS} objects are tracked already; remove one first")

    def _track(self) -> None:
        objects = list(self._objects.values())
        batches = [[tracked] for tracked in objects] if self._one_by_one else [objects]
        for batch in batches:
            if batch:
                self._track_batch(batch)

    def _track_batch(self, objects: list[TrackedObject]) -> None:
        for tracked in objects:
            tracked.clock += 1
            tracked.tracked = True
            tracked.points = ()
        recalls = [tracked.bank.recall(tracked.clock) for tracked in objects]
        conditioned = self._network.attend(self._features, recalls)
        decoded = self._network.decode(self._features, conditioned, None, None)
        memories = self._network.encode_memory(self._features, decoded, prompted=False)
        for i, tracked in enumerate(objects):
            tracked.conditioned = conditioned[i]
            tracked.finding = _finding(decoded, i)
            tracked.bank.remember(Memory(tracked.clock, memories[i], tracked.finding.pointer))

    def _prompt_object(self, object_id: int, prompts: list[Prompt]) -> None:
        tracked = self._objects.get(object_id)
        if tracked is None:
            tracked = TrackedObject(
                object_id, MemoryBank(self._network.spec, self._max_conditioning)
            )
            tracked.conditioned = self._network.attend(self._features, [None])[0]
            self._objects[object_id] = tracked
        masks = [prompt for prompt in prompts if isinstance(prompt, MaskPrompt)]
        points = [prompt for prompt in prompts if not isinstance(prompt, MaskPrompt)]
        if masks:
            tracked.points = ()
            decoded = self._network.decode_mask(self._features, masks[-1].mask)
            tracked.finding = _finding(decoded, 0)
        if points:
            decoded = self._decode_points(tracked, points)
        tracked.finding = finding = _finding(decoded, 0)
        spatial = self._network.encode_memory(self._features, decoded, prompted=True)[0]
        memory = Memory(tracked.clock, spatial, finding.pointer)
        if tracked.tracked and not self._corrections_stick:
            tracked.bank.forget(tracked.clock)
            tracked.bank.remember(memory)
        else:
            tracked.bank.condition(memory)

    def _decode_points(self, tracked: TrackedObject, prompts: list[Point | Box]) -> Decoded:
        points = tracked.points
        for prompt in sorted(prompts, key=lambda prompt: isinstance(prompt, Point)):
            match prompt:
                case Box(_, x0, y0, x1, y1):
                    points = ((x0, y0, BOX_START), (x1, y1, BOX_END))
                case Point(_, x, y, positive):
                    points += ((x, y, POSITIVE if positive else NEGATIVE),)
        tracked.points = points
        assert self._image is not None
        source = np.array([self._image.width, self._image.height], np.float32)
        coordinates = np.array([[point[:2] for point in points]], np.float32)
        return self._network.decode(
            self._features,
            tracked.conditioned[None],
            Points(
                coordinates / source * np.float32(self.image_size),
                np.array([[point[2] for point in points]], np.int32),
            ),
            None if tracked.finding is None else tracked.finding.logits[None],
        )

    def _masks(self, index: int) -> Masks:
        findings = [tracked.finding for tracked in self._objects.values() if tracked.finding]
        side = self.image_size // 4
        logits = (
            self._network.to_numpy(self._network.stack([finding.logits for finding in findings]))
            if findings
            else np.empty((0, side, side), np.float32)
        )
        return Masks(
            self.object_ids,
            logits,
            np.array([finding.score for finding in findings], np.float32),
            np.array([finding.iou for finding in findings], np.float32),
            index,
        )


def _finding(decoded: Decoded, i: int) -> Finding:
    return Finding(
        decoded.logits[i], decoded.pointers[i], float(decoded.scores[i]), float(decoded.ious[i])
    )

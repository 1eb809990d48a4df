"""Random edits of a live stream against a simple model of what must hold.

The model is one tracker per object, which sees the same pictures and only this object's edits:
whatever happens to the others, an object's masks must be the same to the last bit.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from stream.frames import Image
from stream.limits import KEPT_FRAMES, MAX_UNDO
from stream.prompts import Box, MaskPrompt, Point
from stream.track.networks.base import HIDDEN_LOGIT, Decoded, Points, Recall, Spec
from stream.track.tracker import MAX_CONDITIONING, Tracker

SIZE = 32
SIDE = SIZE // 4


class ArithmeticNetwork:
    """A network whose every answer depends on all it is given, and nothing else.

    Dark pictures hide every object.
    """

    spec = Spec(SIZE)

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Sequence[float]:
        return [float(picture.mean()) for picture in pictures]

    def attend(
        self, features: Sequence[float], recalls: Sequence[Recall | None]
    ) -> Sequence[NDArray[np.float32]]:
        return [_attend(*pair) for pair in zip(features, recalls, strict=True)]

    def decode(
        self,
        features: Sequence[float],
        conditioned: Sequence[NDArray[np.float32]],
        points: Points | None = None,
        logits: NDArray[np.float32] | None = None,
    ) -> Sequence[Decoded]:
        shift = 0.0 if points is None else float((points.coordinates.sum(1) * points.labels).sum())
        shift += 0.0 if logits is None else float(np.tanh(logits).sum())
        answers = []
        for picture, maps in zip(features, conditioned, strict=True):
            score = picture - 100 + (200 if points is not None else 0)
            found = np.sin(maps + np.float32(shift))
            hidden = np.full_like(found, HIDDEN_LOGIT)
            answers.append(Decoded(found if score > 0 else hidden, found[0], score, 0.5))
        return answers

    def decode_mask(self, features: float, mask: NDArray[np.bool_]) -> Decoded:
        found = np.full((SIDE, SIDE), np.float32(mask.mean() * 10))
        return Decoded(found, found[0] + np.float32(features), 10.0, 1.0)

    def encode_memory(
        self, features: Sequence[float], decoded: Sequence[Decoded], prompted: bool
    ) -> Sequence[NDArray[np.float32]]:
        return [
            np.cos(answer.logits + np.float32(picture + prompted))
            for picture, answer in zip(features, decoded, strict=True)
        ]

    def to_array(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return tensor

    def to_tensor(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        return array


def _attend(features: float, recall: Recall | None) -> NDArray[np.float32]:
    maps = np.full((SIDE, SIDE), np.float32(features))
    if recall is not None:
        for memory, distance in zip(recall.spatial, recall.spatial_distances, strict=True):
            maps = maps + memory * np.float32(1 + distance)
        for pointer, distance in zip(recall.pointers, recall.pointer_distances, strict=True):
            maps = maps + pointer * np.float32(1 / (1 + distance))
    return maps


class LiveStream(RuleBasedStateMachine):
    """One tracker with everything, and one tracker an object."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker(ArithmeticNetwork())
        self.alone: dict[int, Tracker] = {}
        self.undoable: deque[int] = deque(maxlen=MAX_UNDO)
        self.images: deque[Image] = deque(maxlen=KEPT_FRAMES)
        self.count = 0
        self.next_id = 1
        self.show(150)

    @rule(brightness=st.integers(0, 255))
    def show(self, brightness: int) -> None:
        rgb = np.full((SIZE, SIZE, 3), brightness, np.uint8)
        image = Image(rgb, 64, 48, self.count)
        self.count += 1
        self.images.append(image)
        for tracker in (self.tracker, *self.alone.values()):
            tracker.step(image)

    def prompt(self, prompt: Point | Box | MaskPrompt, late: int | None) -> None:
        id = prompt.object_id
        if id not in self.alone:
            self.alone[id] = Tracker(ArithmeticNetwork())
            for image in self.images:
                self.alone[id].step(image)
        index = None if late is None else self.count - 1 - late
        for tracker in (self.tracker, self.alone[id]):
            tracker.prompt([prompt], index=index)
        self.undoable.append(id)

    @precondition(lambda self: len(self.alone) < 5)
    @rule(x=st.floats(0, 64), y=st.floats(0, 48), late=st.none() | st.integers(0, 12))
    def add(self, x: float, y: float, late: int | None) -> None:
        self.prompt(Point(self.next_id, x, y), late)
        self.next_id += 1

    @precondition(lambda self: self.alone)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["positive", "negative", "box", "mask"]),
        late=st.none() | st.integers(0, 12),
    )
    def correct(self, data: st.DataObject, kind: str, late: int | None) -> None:
        id = data.draw(st.sampled_from(sorted(self.alone)))
        prompts = {
            "positive": Point(id, 10, 10),
            "negative": Point(id, 50, 40, positive=False),
            "box": Box(id, 1, 2, 30, 40),
            "mask": MaskPrompt(id, np.eye(48, 64, dtype=bool)),
        }
        self.prompt(prompts[kind], late)

    @precondition(lambda self: self.undoable)
    @rule()
    def undo(self) -> None:
        id = self.undoable.pop()
        self.tracker.undo()
        self.alone[id].undo()
        if not self.alone[id].object_ids:
            del self.alone[id]

    @precondition(lambda self: self.alone)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.alone)))
        self.tracker.remove(id)
        del self.alone[id]
        self.undoable = deque((other for other in self.undoable if other != id), maxlen=MAX_UNDO)

    @rule()
    def reset(self) -> None:
        self.tracker.reset()
        self.alone.clear()
        self.undoable.clear()

    @rule()
    def restore(self) -> None:
        """The worker dies, and another one goes on."""
        for tracker in (self.tracker, *self.alone.values()):
            tracker.restore(tracker.snapshot())
        self.undoable.clear()

    @invariant()
    def ids_are_those_of_the_model(self) -> None:
        assert set(self.tracker.object_ids) == set(self.alone)
        assert self.tracker.can_undo == bool(self.undoable)

    @invariant()
    def every_object_is_as_if_it_were_alone(self) -> None:
        masks = self.tracker.masks()
        assert len(masks.logits) == len(self.alone)
        for id, logits, score in zip(masks.object_ids, masks.logits, masks.scores, strict=True):
            expected = self.alone[id].masks()
            np.testing.assert_array_equal(logits, expected.logits[0])
            assert score == expected.scores[0]

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.tracker._frames) <= KEPT_FRAMES
        for known in self.tracker._objects.values():
            spatial, pointers = known.bank.recall(known.clock + 1).shape
            assert 1 <= len(known.bank.conditioning) <= MAX_CONDITIONING
            assert spatial <= MAX_CONDITIONING + 6
            assert pointers <= MAX_CONDITIONING + 15


TestLiveStream = LiveStream.TestCase
TestLiveStream.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

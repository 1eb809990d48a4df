"""SAM 2, streaming: one call a frame, and memory that does not grow."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stream.errors import InputError, LimitError, PromptError, UnknownObject
from stream.frames import Image, Masks
from stream.limits import KEPT_FRAMES, MAX_OBJECTS, MAX_POINTS, MAX_UNDO
from stream.prompts import Point, Prompt, Text, check
from stream.track import settle, window, words
from stream.track.bank import MemoryBank
from stream.track.finder import Finder
from stream.track.networks.base import Network
from stream.track.objects import LIVE, OFFICIAL, TrackedObject, View, advance, prompt, show
from stream.track.searches import Answer, Searches
from stream.track.snapshot import pack, unpack
from stream.track.window import WHOLE, Square

Compat = Literal["live", "official"]

MAX_CONDITIONING = 4
"""Prompted frames an object attends to in live use: each costs as much as a tracked frame."""

DETAIL = 768
"""Side of the pictures that windows are cut out of, or twice the network's, whichever is more: a
camera's height."""


@dataclass(slots=True)
class KeptFrame:
    """A frame that a late click can still go back to, with the objects as they left it."""

    index: int
    view: View
    objects: dict[int, TrackedObject] = field(default_factory=dict)


class Tracker:
    """Tracks any number of objects through one stream.

    compat: "official" equals SAM2VideoPredictor, under torch on a CPU to the last bit. "live"
    differs in what a person feels (stream.track.objects.LIVE): corrections stick, at most
    MAX_CONDITIONING of them, the first prompt pinned; an object that is hidden for long is known
    again; a click on a lost object brings it back; a click made on an earlier picture goes there.
    windowed: look at a window of the picture while all objects are small (stream.track.window);
    for "live" only.
    finder: looks for phrases that are no words of the network's; None: those are refused.

    Not thread-safe: one thread calls it.
    """

    def __init__(
        self,
        network: Network,
        compat: Compat = "live",
        windowed: bool = False,
        finder: Finder | None = None,
    ) -> None:
        live = compat == "live"
        if windowed and not live:
            raise ValueError('windowed is for compat="live": the official predictor has no windows')
        self.network = network
        self.windowed = windowed
        self.policy = LIVE if live else OFFICIAL
        self._max_conditioning = MAX_CONDITIONING if live else None
        self._objects: dict[int, TrackedObject] = {}
        self._frames: deque[KeptFrame] = deque(maxlen=KEPT_FRAMES if live else 1)
        self._undo: deque[dict[int, TrackedObject | None]] = deque(maxlen=MAX_UNDO)
        self._searches = None if finder is None else Searches(finder)

    @property
    def image_size(self) -> int:
        """Side of the pictures that `step` takes; masks have a quarter of it. Without windows it
        is the network's input size."""
        size = self.network.spec.image_size
        return max(DETAIL, 2 * size) if self.windowed else size

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self._objects)

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    def step(self, image: Image, prompts: Sequence[Prompt] = ()) -> Masks:
        """Track every object into the next frame, then apply the prompts to it.

        image: the next picture of the stream, `image_size` pixels wide and high.
        Returns the masks of all objects on it. Points and boxes of one object in one call are
        decoded together, after its last mask. A prompt with a new object id starts that object.
        Raises PromptError or LimitError with nothing changed.
        Memory rule: SAM 2 (arXiv 2408.00714) section 4.
        """
        self._check_prompts(prompts, image.width, image.height)
        step_together([self], [image])
        return self.prompt(prompts)

    def prompt(self, prompts: Sequence[Prompt], index: int | None = None) -> Masks:
        """Apply prompts to a frame that was stepped into already; see `step`.

        index: of the frame that the person saw; None: the newest. Prompts on an earlier frame
        are applied there, or as near to it as frames are kept, and their objects are brought
        forward to the newest again. Returns the masks on the newest frame.
        """
        if not self._frames:
            raise InputError("no picture yet; call step with a picture first")
        frames = self._frames_from(index)
        self._check_prompts(prompts, frames[0].view.width, frames[0].view.height)
        by_object: dict[int, list[Prompt]] = {}
        for given in prompts:
            by_object.setdefault(given.object_id, []).append(given)
        if by_object:
            self._undo.append(
                {id: known.copy() if (known := self._objects.get(id)) else None for id in by_object}
            )
        for object_id, group in by_object.items():
            self._prompt_object(object_id, group, frames)
        self._search(object_id for object_id, group in by_object.items() if _is_named(group))
        return self.masks()

    def masks(self) -> Masks:
        """What is known of the newest frame. Raises InputError before the first step."""
        if not self._frames:
            raise InputError("no picture yet; call step with a picture first")
        objects = [known for known in self._objects.values() if known.finding]
        findings = [known.finding for known in objects if known.finding]
        side = self.image_size // 4
        logits = np.empty((len(findings), side, side), np.float32)
        for row, known, finding in zip(logits, objects, findings, strict=True):
            found = self.network.to_array(finding.logits).astype(np.float32, copy=False)
            row[:] = window.resample(found, known.square, WHOLE, side) if self.windowed else found
        return Masks(
            self.object_ids,
            logits,
            np.array([finding.score for finding in findings], np.float32),
            np.array([finding.iou for finding in findings], np.float32),
            self._frames[-1].index,
        )

    def snapshot(self) -> bytes:
        """All objects and their memories, for `restore`; kept frames and undo are left out."""
        return pack(self._objects.values(), self.network)

    def restore(self, data: bytes) -> None:
        """Go on from a snapshot, in place of all objects there are.

        Masks follow with the next step. Raises InputError, with nothing changed, when the data
        are damaged or come from a network of another shape.
        """
        objects = unpack(data, self.network, self._max_conditioning)
        self.reset()
        self._objects = {known.id: known for known in objects}

    def remove(self, object_id: int) -> None:
        """Forget one object; the others go on as if it had never been. Raises UnknownObject."""
        if object_id not in self._objects:
            raise UnknownObject(f"no object {object_id}; there are {list(self._objects)}")
        self._forget(object_id)
        for before in self._undo:
            before.pop(object_id, None)
        self._undo = deque((before for before in self._undo if before), maxlen=MAX_UNDO)

    def undo(self) -> None:
        """Take the last call's prompts back: its objects return to what they remembered before.

        An object that they started is gone. Raises InputError when there is nothing to undo.
        """
        if not self._undo:
            raise InputError("nothing to undo")
        for object_id, before in self._undo.pop().items():
            if before is None:
                self._forget(object_id)
            else:
                self._objects[object_id] = before
                self._forget_kept(object_id)

    def reset(self) -> None:
        """Forget all objects."""
        for object_id in self.object_ids:
            self._forget(object_id)
        self._undo.clear()

    def _forget(self, object_id: int) -> None:
        self._objects.pop(object_id, None)
        if self._searches is not None:
            self._searches.forget(object_id)
        self._forget_kept(object_id)

    def _forget_kept(self, object_id: int) -> None:
        for frame in self._frames:
            frame.objects.pop(object_id, None)

    def _frames_from(self, index: int | None) -> list[KeptFrame]:
        """The kept frames from `index` on; at least the newest."""
        if index is None:
            return [self._frames[-1]]
        return [frame for frame in self._frames if frame.index >= index] or [self._frames[-1]]

    def _check_prompts(self, prompts: Sequence[Prompt], width: int, height: int) -> None:
        points = {id: len(known.points) for id, known in self._objects.items()}
        for given in prompts:
            check(given, width, height)
            id = given.object_id
            if isinstance(given, Text):
                name = words.resolve(given.word, self.network.spec.words, bool(self._searches))
                if self._searches is not None and name not in self.network.spec.words:
                    self._searches.finder.check()
            if id not in points and isinstance(given, Point) and not given.positive:
                raise PromptError(
                    f"the first point of object {id} is negative; point at the object itself first"
                )
            points[id] = points.get(id, 0) + 1
            if points[id] > MAX_POINTS:
                raise LimitError(f"object {id} has {MAX_POINTS} points on this frame already")
        if len(points) > MAX_OBJECTS:
            raise LimitError(f"{MAX_OBJECTS} objects are tracked already; remove one first")

    def _prompt_object(
        self, object_id: int, prompts: Sequence[Prompt], frames: Sequence[KeptFrame]
    ) -> None:
        """Prompt the object on the first of the frames, then track it through the others."""
        if object_id in self._objects:
            newest = self._frames[-1]
            frames = [frame for frame in frames if object_id in frame.objects] or [newest]
            known = frames[0].objects.get(object_id, self._objects[object_id]).copy()
        else:
            known = TrackedObject(object_id, MemoryBank(self.network.spec, self._max_conditioning))
        known = self._prompted(known, prompts, frames[0].view)
        frames[0].objects[object_id] = known.copy()
        for frame in frames[1:]:
            settle.settle(self.network, known, frame.view.square)
            advance(self.network, [known], [frame.view], self.policy)
            frame.objects[object_id] = known.copy()
        self._objects[object_id] = known

    def _prompted(
        self, known: TrackedObject, prompts: Sequence[Prompt], view: View
    ) -> TrackedObject:
        if self.windowed:
            return settle.prompt_in_window(self.network, known, prompts, view, self.policy)
        prompt(self.network, known, prompts, view, self.policy)
        return known

    def _look(self) -> Square:
        """The part of the next picture that the network is to see."""
        if not self.windowed:
            return WHOLE
        return settle.settle_together(self.network, list(self._objects.values()))

    def _search(self, named: Iterable[int] = ()) -> None:
        """Ask for objects whose phrase was given just now, and again for those that are lost;
        take what has been found meanwhile."""
        if self._searches is None:
            return
        asked = set(named)
        for object_id, known in tuple(self._objects.items()):
            if known.phrase is None:
                self._searches.forget(object_id)
                continue
            if known.is_hidden:
                self._searches.begin(object_id, known.phrase, at_once=object_id in asked)
            answer = self._searches.answer(object_id)
            if answer is not None and self._objects[object_id].is_hidden:
                self._take(object_id, answer)

    def _take(self, object_id: int, answer: Answer) -> None:
        """Start the object where it was found, then bring it forward to the newest frame: through
        those between, or, when the search took longer than they are kept, in one leap."""
        known = self._objects[object_id].copy()
        known.conditioned, known.points = None, ()
        # A detector looks at the whole picture.
        settle.settle(self.network, known, WHOLE)
        view = settle.look(self.network, answer.view, WHOLE)
        if not show(self.network, known, answer.boxes, view):
            return
        frames = [frame for frame in self._frames if frame.index >= answer.index]
        if frames[0].index > answer.index:
            frames = frames[-1:]
        for frame in frames:
            if frame.index > answer.index:
                settle.settle(self.network, known, frame.view.square)
                advance(self.network, [known], [frame.view], self.policy)
            frame.objects[object_id] = known.copy()
        self._objects[object_id] = known


def _is_named(prompts: Sequence[Prompt]) -> bool:
    return any(isinstance(given, Text) for given in prompts)


def step_together(trackers: Sequence[Tracker], images: Sequence[Image]) -> list[Masks]:
    """Track all objects of several streams into their next frames, in one batch.

    All trackers share one network. Raises InputError, with nothing changed, for a picture that is
    not of its tracker's size.
    """
    if not trackers:
        return []
    network = trackers[0].network
    for tracker, image in zip(trackers, images, strict=True):
        size = tracker.image_size
        if image.rgb.shape != (size, size, 3):
            raise InputError(f"picture is {image.rgb.shape}; wanted ({size}, {size}, 3)")
    squares = [tracker._look() for tracker in trackers]
    side = network.spec.image_size
    features = network.encode_images(
        [window.see(image.rgb, square, side) for image, square in zip(images, squares, strict=True)]
    )
    for policy in (LIVE, OFFICIAL):
        objects: list[TrackedObject] = []
        views: list[View] = []
        for tracker, image, square, encoded in zip(
            trackers, images, squares, features, strict=True
        ):
            if tracker.policy is policy:
                picture = image.rgb if tracker.windowed else None
                view = View(encoded, image.width, image.height, square, picture)
                tracker._frames.append(KeptFrame(image.index, view))
                if tracker._searches is not None:
                    tracker._searches.see(image, view)
                objects += tracker._objects.values()
                views += [view] * len(tracker._objects)
        advance(network, objects, views, policy)
    for tracker in trackers:
        newest = tracker._frames[-1]
        newest.objects = {id: known.copy() for id, known in tracker._objects.items()}
        tracker._search()
    return [tracker.masks() for tracker in trackers]

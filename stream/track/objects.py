"""One tracked object: what it remembers, what was found last, and how it gets into a new frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.prompts import Box, MaskPrompt, Point, Prompt, Text
from stream.track import wholes, words
from stream.track.bank import Memory, MemoryBank
from stream.track.detector import Found
from stream.track.networks.base import (
    BOX_END,
    BOX_START,
    FIRST_WORD,
    NEGATIVE,
    POSITIVE,
    Decoded,
    Network,
    Points,
    Tensor,
)
from stream.track.window import WHOLE, Square


@dataclass(frozen=True, slots=True)
class Policy:
    """What an object does beyond the official predictor; by default nothing.

    corrections_stick: a corrected frame becomes a conditioning frame.
    skip_hidden: a frame on which the object is hidden leaves no memory and does not count, so
        that the last memories in which it was seen stay.
    revive: a click on a hidden object starts from the picture alone when the memories deny it.
    seek: an object that was named and is not to be seen is asked for again on every frame.
    wholes: a first click on a large part of somebody means the whole person (stream.track.wholes).
    """

    corrections_stick: bool = False
    skip_hidden: bool = False
    revive: bool = False
    seek: bool = False
    wholes: bool = False


OFFICIAL = Policy()
LIVE = Policy(corrections_stick=True, skip_hidden=True, revive=True, seek=True, wholes=True)


@dataclass(frozen=True, slots=True)
class View:
    """A picture as the tracker sees it.

    width, height: of the source in pixels. square: the part of it that the features show.
    picture: the whole, uint8 [D, D, 3], to look at another part of; None without windows.
    """

    features: Tensor
    width: int
    height: int
    square: Square = WHOLE
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A frame on which the object was seen, to remember it from again in another window.

    clock: the object's, on that frame. picture: as View.picture. logits: [S/4, S/4] over `square`.
    """

    clock: int
    picture: NDArray[np.uint8]
    logits: Tensor
    square: Square


@dataclass(slots=True)
class TrackedObject:
    """clock: index of the current frame among those the object was processed on, so that frames
        which were dropped leave no holes in its memory.
    remembered: the current frame left a memory in the bank.
    tracked: memories led to the current frame; otherwise the object was started on it.
    points: (x, y, label) given on the current frame, in pixels of the source picture.
    word: label of the word that names the object; None when it has none.
    phrase: what a detector is to look for instead; None when it has none.
    conditioned: the current frame's features after memory attention; None after a restore.
    finding: what was found on the current frame.
    square: where the finding and the spatial memories lie in the picture.
    unseen: frames since it was seen.
    first, corrected, latest: where windows are used, the frame of the first prompt, of the newest
        one, and the newest on which it was seen.
    """

    id: int
    bank: MemoryBank
    clock: int = 0
    remembered: bool = False
    tracked: bool = False
    points: tuple[tuple[float, float, int], ...] = ()
    word: int | None = None
    phrase: str | None = None
    conditioned: Tensor = None
    finding: Decoded | None = None
    square: Square = WHOLE
    unseen: int = 0
    first: Anchor | None = None
    corrected: Anchor | None = None
    latest: Anchor | None = None

    @property
    def is_hidden(self) -> bool:
        return self.finding is not None and self.finding.score <= 0

    def copy(self) -> "TrackedObject":
        """As it is now; the tensors are shared, never written to."""
        return replace(self, bank=self.bank.copy())


def advance(
    network: Network, objects: Sequence[TrackedObject], views: Sequence[View], policy: Policy
) -> None:
    """Track each object into its next picture, all in one batch."""
    for tracked in objects:
        tracked.clock += tracked.remembered
        tracked.tracked = True
        tracked.points = ()
    known = [i for i, tracked in enumerate(objects) if tracked.bank.conditioning]
    _advance_known(network, [objects[i] for i in known], [views[i] for i in known], policy)
    for tracked, view in zip(objects, views, strict=True):
        if policy.seek and tracked.word is not None and tracked.is_hidden:
            _seek(network, tracked, view)
        tracked.unseen = tracked.unseen + 1 if tracked.is_hidden else 0
        if not tracked.is_hidden:
            tracked.latest = _anchor(tracked, view)


def _advance_known(
    network: Network, objects: Sequence[TrackedObject], views: Sequence[View], policy: Policy
) -> None:
    """Those that have a memory; a word may have named nothing yet."""
    if not objects:
        return
    features = [view.features for view in views]
    recalls = [tracked.bank.recall(tracked.clock) for tracked in objects]
    conditioned = network.attend(features, recalls)
    findings = network.decode(features, conditioned)
    seen = [i for i, finding in enumerate(findings) if finding.score > 0 or not policy.skip_hidden]
    memories = network.encode_memory(
        [features[i] for i in seen], [findings[i] for i in seen], prompted=False
    )
    for tracked, maps, finding in zip(objects, conditioned, findings, strict=True):
        tracked.conditioned = maps
        tracked.finding = replace(finding, full=None)
        tracked.remembered = False
    for i, memory in zip(seen, memories, strict=True):
        tracked = objects[i]
        tracked.bank.remember(Memory(tracked.clock, memory, findings[i].pointer))
        tracked.remembered = True


def prompt(
    network: Network,
    tracked: TrackedObject,
    prompts: Sequence[Prompt],
    view: View,
    policy: Policy,
) -> None:
    """Apply prompts to the picture that the object is on: the last word, the last mask, then box
    and points."""
    masks = [given for given in prompts if isinstance(given, MaskPrompt)]
    points = [given for given in prompts if isinstance(given, Point | Box)]
    named = [given for given in prompts if isinstance(given, Text)]
    if named:
        _name(network, tracked, named[-1].word, view)
    if not masks and not points:
        return
    if masks:
        tracked.points = ()
        tracked.finding = network.decode_mask(view.features, view.square.cut(masks[-1].mask))
    if points:
        tracked.points = _collect(tracked.points, points)
        tracked.finding = _decode_points(network, tracked, view, policy)
    assert tracked.finding is not None
    (spatial,) = network.encode_memory([view.features], [tracked.finding], prompted=True)
    memory = Memory(tracked.clock, spatial, tracked.finding.pointer)
    if tracked.tracked and not policy.corrections_stick:
        tracked.bank.forget(tracked.clock)
        tracked.bank.remember(memory)
    else:
        tracked.bank.condition(memory)
    tracked.remembered = True
    _drop_anchor(tracked, view)


def _drop_anchor(tracked: TrackedObject, view: View) -> None:
    """After a prompt: the object can be remembered from here."""
    tracked.unseen = 0
    tracked.corrected = tracked.latest = _anchor(tracked, view)
    if tracked.first is None or tracked.first.clock == tracked.clock:
        tracked.first = tracked.corrected


def _anchor(tracked: TrackedObject, view: View) -> Anchor | None:
    if view.picture is None or tracked.finding is None:
        return None
    return Anchor(tracked.clock, view.picture, tracked.finding.logits, view.square)


def _name(network: Network, tracked: TrackedObject, word: str, view: View) -> None:
    """Give it a word, which is looked for at once, or a phrase, which the tracker looks for."""
    name = words.resolve(word, network.spec.words, phrases=True)
    if name in network.spec.words:
        tracked.word, tracked.phrase = FIRST_WORD + words.WORDS.index(name), None
        _seek(network, tracked, view)
        return
    tracked.word, tracked.phrase = None, name
    if tracked.finding is None:  # nowhere, as far as is known
        tracked.finding = network.decode_mask(view.features, np.zeros((1, 1), np.bool_))


def show(network: Network, tracked: TrackedObject, boxes: Sequence[Found], view: View) -> bool:
    """Let what a detector found on a picture be the object, all boxes together; remembered as a
    prompted frame. False: the network sees nothing in them, and nothing changed."""
    size = np.float32(network.spec.image_size)
    (fresh,) = network.attend([view.features], [None])
    labels = np.array([BOX_START, BOX_END], np.int32)
    seen: list[Decoded] = []
    for box in boxes:
        corners = np.array([[box.x0, box.y0], [box.x1, box.y1]], np.float32) * size
        seen += network.decode([view.features], [fresh], Points(corners, labels))
    seen = [found for found in seen if found.score > 0]
    if not seen:
        return False
    found = seen[0]
    if len(seen) > 1:
        together = np.max([network.to_array(each.logits) for each in seen], axis=0) > 0
        found = network.decode_mask(view.features, together)
    (spatial,) = network.encode_memory([view.features], [found], prompted=True)
    tracked.finding, tracked.conditioned, tracked.points = found, fresh, ()
    tracked.bank.condition(Memory(tracked.clock, spatial, found.pointer))
    tracked.remembered = True
    _drop_anchor(tracked, view)
    return True


def _seek(network: Network, tracked: TrackedObject, view: View) -> None:
    """Ask for what the object's word names, from the picture alone. Found, it is remembered as a
    prompted frame; not found, the memories stay as they are."""
    assert tracked.word is not None
    (fresh,) = network.attend([view.features], [None])
    label = np.array([tracked.word], np.int32)
    points = Points(np.zeros((1, 2), np.float32), label)
    (found,) = network.decode([view.features], [fresh], points)
    least = words.LEAST_SCORES.get(words.WORDS[tracked.word - FIRST_WORD], 0.0)
    if 0 < found.score <= least:  # more likely something else that stands out
        found = network.decode_mask(view.features, np.zeros((1, 1), np.bool_))
    if found.score > 0 or not tracked.bank.conditioning:
        tracked.finding, tracked.conditioned = found, fresh
    if found.score > 0:
        (spatial,) = network.encode_memory([view.features], [found], prompted=True)
        tracked.bank.condition(Memory(tracked.clock, spatial, found.pointer))
        tracked.remembered = True
        _drop_anchor(tracked, view)


def _collect(
    points: tuple[tuple[float, float, int], ...], prompts: Sequence[Point | Box]
) -> tuple[tuple[float, float, int], ...]:
    """A box takes the place of all earlier points and stands first, as SAM 2 is trained."""
    for given in sorted(prompts, key=lambda given: isinstance(given, Point)):
        match given:
            case Box(_, x0, y0, x1, y1):
                points = ((x0, y0, BOX_START), (x1, y1, BOX_END))
            case Point(_, x, y, positive):
                points += ((x, y, POSITIVE if positive else NEGATIVE),)
    return points


def _decode_points(network: Network, tracked: TrackedObject, view: View, policy: Policy) -> Decoded:
    source = np.array([view.width, view.height], np.float32)
    coordinates = np.array([point[:2] for point in tracked.points], np.float32)
    corner = np.array([view.square.x, view.square.y], np.float32)
    points = Points(
        (coordinates / source - corner)
        / np.float32(view.square.side)
        * np.float32(network.spec.image_size),
        np.array([point[2] for point in tracked.points], np.int32),
    )
    if tracked.conditioned is None:
        recall = tracked.bank.recall(tracked.clock) if tracked.tracked else None
        (tracked.conditioned,) = network.attend([view.features], [recall])
    is_first = tracked.finding is None and not tracked.tracked
    hidden = tracked.is_hidden
    earlier = None if tracked.finding is None else tracked.finding.logits
    if policy.revive and hidden:
        earlier = None
    (decoded,) = network.decode([view.features], [tracked.conditioned], points, earlier)
    if policy.revive and hidden and decoded.score <= 0:
        (fresh,) = network.attend([view.features], [None])
        (decoded,) = network.decode([view.features], [fresh], points)
    if policy.wholes and is_first and points.labels.tolist() == [POSITIVE]:
        return wholes.whole(network, view.features, tracked.conditioned, points, decoded)
    return decoded

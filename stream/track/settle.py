"""Objects in windows: which part of the picture a prompt is answered in, and how an object's
memories get from one window into another."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from stream.prompts import Box as BoxPrompt
from stream.prompts import MaskPrompt, Point, Prompt
from stream.track import window
from stream.track.bank import Memory
from stream.track.networks.base import Network
from stream.track.objects import Anchor, Policy, TrackedObject, View, prompt
from stream.track.window import WHOLE, Box, Square


def prompt_in_window(
    network: Network, known: TrackedObject, prompts: Sequence[Prompt], view: View, policy: Policy
) -> TrackedObject:
    """`known`, with the prompts applied in the part of the picture that suits them.

    A known object is corrected in what the view shows, if the click lies there. Otherwise a box or
    a mask says how large the window has to be, and what was clicked on is looked for in the whole
    picture, and once more in a window when it turns out to be small.
    """

    def answer(square: Square) -> TrackedObject:
        twin = known.copy()
        settle(network, twin, square)
        prompt(network, twin, prompts, look(network, view, square), policy)
        return twin

    target = pointed_at(prompts, view)
    if target is None:
        return answer(WHOLE)
    if known.bank.conditioning and view.square.holds(target):
        return answer(view.square)
    if any(isinstance(given, BoxPrompt | MaskPrompt) for given in prompts):
        return answer(window.around(target))
    seen = answer(WHOLE)
    found = place(network, seen)
    closer = WHOLE if found is None else window.around(found)
    if closer == WHOLE or not closer.holds(target):
        return seen
    closely = answer(closer)
    return seen if place(network, closely) is None else closely


def settle_together(network: Network, objects: Sequence[TrackedObject]) -> Square:
    """The part of the next picture to look at, after all objects are settled in it."""
    squares = {known.square for known in objects}
    square = window.choose(
        squares.pop() if len(squares) == 1 else WHOLE,
        [place(network, known) for known in objects],
        max((known.unseen for known in objects), default=0),
    )
    for known in objects:
        settle(network, known, square)
    return square


def place(network: Network, tracked: TrackedObject) -> Box | None:
    """Where in the picture the object is; None: hidden, or nothing of it was found."""
    if tracked.finding is None or tracked.is_hidden:
        return None
    logits = network.to_array(tracked.finding.logits).astype(np.float32, copy=False)
    return window.box_of(logits, tracked.square)


def settle(network: Network, tracked: TrackedObject, square: Square) -> None:
    """Remember the object as if it had always been seen in windows of this size.

    A kept frame is encoded again in a window of that size around the object, so that it lies there
    as it lies in the next frame. Memories whose frames were not kept are lost, but for their
    pointers; where none was (after a restore), all stay as they are.
    """
    if tracked.square == square:
        return
    old, tracked.square, tracked.conditioned = tracked.square, square, None
    if tracked.finding is not None:
        logits = _moved(network, tracked.finding.logits, old, square)
        tracked.finding = replace(tracked.finding, logits=logits, full=None)
    anchors = list(_anchors(tracked))
    if not anchors:
        return
    memories = _remember(network, anchors, square)
    is_tracked = len(anchors) > 1 and anchors[-1] is not tracked.corrected
    latest = memories.pop() if is_tracked else None
    tracked.bank.conditioning.clear()
    tracked.bank.spatial.clear()
    for memory in memories:
        tracked.bank.condition(memory)
    if latest is not None:
        tracked.bank.spatial.append(latest)


def pointed_at(prompts: Sequence[Prompt], view: View) -> Box | None:
    """Around all that the prompts point at; None: something is named, which may be anywhere."""
    boxes = []
    for given in prompts:
        match given:
            case Point(_, x, y):
                boxes.append(Box(x / view.width, y / view.height, 0.0, 0.0))
            case BoxPrompt(_, x0, y0, x1, y1):
                size = (x1 - x0) / view.width, (y1 - y0) / view.height
                boxes.append(Box(x0 / view.width, y0 / view.height, *size))
            case MaskPrompt(_, mask):
                x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
                shares = width / view.width, height / view.height
                boxes.append(Box(x / view.width, y / view.height, *shares))
            case _:
                return None
    union = boxes[0]
    for box in boxes[1:]:
        union = union.join(box)
    return union


def look(network: Network, view: View, square: Square) -> View:
    """Another part of the picture of a view that has kept it."""
    if view.square == square or view.picture is None:
        return view
    seen = window.see(view.picture, square, network.spec.image_size)
    (features,) = network.encode_images([seen])
    return replace(view, features=features, square=square)


def _anchors(tracked: TrackedObject) -> Iterator[Anchor]:
    """Each once, the oldest first."""
    clock = -1
    for anchor in (tracked.first, tracked.corrected, tracked.latest):
        if anchor is not None and anchor.clock > clock:
            clock = anchor.clock
            yield anchor


def _remember(network: Network, anchors: Sequence[Anchor], square: Square) -> list[Memory]:
    side = network.spec.image_size
    masks, pictures = [], []
    for anchor in anchors:
        logits = network.to_array(anchor.logits).astype(np.float32, copy=False)
        box = window.box_of(logits, anchor.square)
        there = square if box is None else square.around(box)
        masks.append(window.resample(logits, anchor.square, there, side) > 0)
        pictures.append(window.see(anchor.picture, there, side))
    memories = []
    for anchor, mask, features in zip(anchors, masks, network.encode_images(pictures), strict=True):
        given = network.decode_mask(features, mask)
        (spatial,) = network.encode_memory([features], [given], prompted=True)
        memories.append(Memory(anchor.clock, spatial, given.pointer))
    return memories


def _moved(network: Network, logits: object, old: Square, new: Square) -> object:
    array = network.to_array(logits).astype(np.float32, copy=False)
    return network.to_tensor(window.resample(array, old, new, array.shape[0]))

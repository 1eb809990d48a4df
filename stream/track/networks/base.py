"""The neural parts of a SAM 2 behind one interface.

A network turns pictures, memories and prompts into logits and new memories. It keeps nothing
between calls: what is remembered, and for how long, is the memory bank's business
(stream.track.bank). Tensors that only pass through the tracker are of the network's own kind
(numpy arrays, torch tensors on some device) and typed `Tensor`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = Any

HIDDEN_LOGIT = -1024.0
"""Every logit of an object that is not in the picture (SAM 2's NO_OBJ_SCORE)."""

POSITIVE, NEGATIVE, BOX_START, BOX_END, PADDING = 1, 0, 2, 3, -1
"""Point labels as SAM's prompt encoder knows them; a box is its two corners."""

FIRST_WORD = 4
"""Labels from here on are ours: learned queries for words, which lie nowhere in the picture."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the tracker must know of a network.

    image_size: S, side of the square input in pixels; logits have side S / 4.
    num_memories: spatial memories that attend, the conditioning frame's slot included.
    num_pointers: object pointers that attend, likewise.
    multimask_points: (least, most) points with which the best of three masks is taken.
    words: that objects can be asked for by; their labels are FIRST_WORD plus their place in
        stream.track.words.WORDS.
    """

    image_size: int
    num_memories: int = 7
    num_pointers: int = 16
    multimask_points: tuple[int, int] = (0, 1)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """The memories that one object's current frame attends to.

    Distances are in frames, counted back from the current one. A conditioning frame's spatial
    memory has distance 0, whatever its age; its pointer keeps the true distance.
    """

    spatial: tuple[Tensor, ...]
    spatial_distances: tuple[int, ...]
    pointers: tuple[Tensor, ...]
    pointer_distances: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(spatial memories, pointers); objects of one shape run in one batch."""
        return len(self.spatial), len(self.pointers)


def by_shape(recalls: Sequence[Recall | None]) -> dict[tuple[int, int], list[int]]:
    """The positions of objects that can run in one batch; (0, 0) is that of first frames."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, recall in enumerate(recalls):
        groups.setdefault((0, 0) if recall is None else recall.shape, []).append(i)
    return groups


@dataclass(frozen=True, slots=True)
class Points:
    """One object's points: float32 [P, 2] in pixels of the S x S input, int32 labels [P]."""

    coordinates: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The mask decoder's answer for one object, occlusion already applied.

    logits: [S/4, S/4]; pointer: [C]; both of the network's own kind.
    score: object score logit; iou: estimated, 0 to 1.
    full: the logits at the input's size, where the network has them at hand.
    """

    logits: Tensor
    pointer: Tensor
    score: float
    iou: float
    full: Tensor = None


class Network(Protocol):
    """SAM 2's parts (arXiv 2408.00714, section 4).

    Sequences hold one item per object; objects of one picture share its features. They may come
    from several pictures and sessions: a network runs them in one batch where that is faster, and
    no object's answer depends on what else is in the batch.
    """

    @property
    def spec(self) -> Spec: ...

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Sequence[Tensor]:
        """Features of each picture, uint8 [S, S, 3]."""
        ...

    def attend(
        self, features: Sequence[Tensor], recalls: Sequence[Recall | None]
    ) -> Sequence[Tensor]:
        """Condition features on the object's memories; None: a first frame, no memory.

        Returns [C, S/16, S/16] each.
        """
        ...

    def decode(
        self,
        features: Sequence[Tensor],
        conditioned: Sequence[Tensor],
        points: Points | None = None,
        logits: Tensor | None = None,
    ) -> Sequence[Decoded]:
        """Masks from conditioned features.

        points: what a person clicked, for one object alone; None while tracking.
        logits: that object's earlier logits [S/4, S/4], which the points correct.
        """
        ...

    def decode_mask(self, features: Tensor, mask: NDArray[np.bool_]) -> Decoded:
        """Take a mask, bool [height, width] of the source picture, as the object's answer."""
        ...

    def encode_memory(
        self, features: Sequence[Tensor], decoded: Sequence[Decoded], prompted: bool
    ) -> Sequence[Tensor]:
        """Spatial memories, stored in bfloat16. prompted: a person gave the masks."""
        ...

    def to_array(self, tensor: Tensor) -> NDArray[np.float32] | NDArray[np.uint16]:
        """A tensor of the network's kind in numpy: float32, or the bits of bfloat16."""
        ...

    def to_tensor(self, array: NDArray[np.float32] | NDArray[np.uint16]) -> Tensor:
        """The way back of `to_array`."""
        ...

"""What one object's tracker remembers: bounded deques, nothing else.

SAM 2 attends to the conditioning frames (those a person prompted), to the spatial memories of
the last `num_memories - 1` frames and to the pointers of the last `num_pointers - 1`; nothing
older can change a result (sam2_base.py, _prepare_memory_conditioned_features).
"""

from collections import deque
from dataclasses import dataclass

from stream.track.networks.base import Recall, Spec, Tensor


@dataclass(frozen=True, slots=True)
class Memory:
    """What one frame left behind: its index on the object's own clock, and its two memories."""

    index: int
    spatial: Tensor
    pointer: Tensor


class MemoryBank:
    """The memories of one object.

    max_conditioning: conditioning frames that are kept; the first is pinned, then the newest
    stay. None: all, as the official predictor does (they grow by one a prompted frame).
    """

    def __init__(self, spec: Spec, max_conditioning: int | None = None) -> None:
        if max_conditioning is not None and max_conditioning < 2:
            raise ValueError(f"max_conditioning is {max_conditioning}; wanted at least 2")
        self.max_conditioning = max_conditioning
        self.conditioning: deque[Memory] = deque()
        self.spatial: deque[Memory] = deque(maxlen=spec.num_memories - 1)
        self.pointers: deque[Memory] = deque(maxlen=spec.num_pointers - 1)

    def copy(self) -> "MemoryBank":
        """An independent bank with the same memories; the tensors are shared, never written to."""
        twin = object.__new__(MemoryBank)
        twin.max_conditioning = self.max_conditioning
        twin.conditioning = self.conditioning.copy()
        twin.spatial = self.spatial.copy()
        twin.pointers = self.pointers.copy()
        return twin

    def remember(self, memory: Memory) -> None:
        """Store a tracked frame; the oldest falls out."""
        self.spatial.append(memory)
        self.pointers.append(Memory(memory.index, None, memory.pointer))

    def condition(self, memory: Memory) -> None:
        """Store a prompted frame for good, in place of what that frame left before."""
        self.forget(memory.index)
        self.conditioning.append(memory)
        if self.max_conditioning is not None and len(self.conditioning) > self.max_conditioning:
            del self.conditioning[1]

    def forget(self, index: int) -> None:
        """Drop what the frame left behind, if it did."""
        for memories in (self.conditioning, self.spatial, self.pointers):
            kept = [memory for memory in memories if memory.index != index]
            if len(kept) < len(memories):
                memories.clear()
                memories.extend(kept)

    def recall(self, index: int) -> Recall:
        """What the frame `index` attends to, in the official order."""
        recent = [
            memory
            for memory in self.spatial
            if 0 < index - memory.index <= (self.spatial.maxlen or 0)
        ]
        pointers = [
            memory
            for memory in reversed(self.pointers)
            if 0 < index - memory.index <= (self.pointers.maxlen or 0)
        ]
        conditioning = list(self.conditioning)
        return Recall(
            spatial=tuple(memory.spatial for memory in conditioning + recent),
            spatial_distances=(
                *(0 for _ in conditioning),
                *(index - memory.index for memory in recent),
            ),
            pointers=tuple(memory.pointer for memory in conditioning + pointers),
            pointer_distances=tuple(index - memory.index for memory in conditioning + pointers),
        )

"""Pictures and masks in shared memory, at fixed places.

The server makes the memory once it knows the network's input size, the worker maps it, and then
the name is removed at once: what has no name cannot be left behind, however either process ends.
Until then Python's resource tracker, which outlives the server, would remove it. Both processes
share that tracker, so the name is registered twice and forgotten once, which it takes as one.
"""

import os
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.errors import ModelError
from stream.limits import MAX_OBJECTS

BUFFERS = 2
"""Of pictures and of masks, each: one can be written while the other is being read."""


SHARED = Path("/dev/shm")
"""Where Linux keeps shared memory; containers often have 64 MiB of it."""


class SharedSlots:
    """`slots` times BUFFERS pictures and BUFFERS sets of masks.

    memory: maps them. Views are made for one copy and not kept: mapped memory that still has a
    view cannot be closed.
    """

    def __init__(self, memory: SharedMemory, image_size: int, slots: int) -> None:
        self._memory = memory
        self._side = image_size
        self._slots = slots

    @classmethod
    def create(cls, image_size: int, slots: int) -> "SharedSlots":
        """New memory, zero; pages that are never written cost nothing. Raises ModelError."""
        _check_room(slots * _slot(image_size))
        return cls(SharedMemory(create=True, size=slots * _slot(image_size)), image_size, slots)

    @classmethod
    def attach(cls, name: str, image_size: int, slots: int) -> "SharedSlots":
        """Raises FileNotFoundError."""
        return cls(SharedMemory(name), image_size, slots)

    @property
    def name(self) -> str:
        return self._memory.name

    def write_picture(self, slot: int, buffer: int, rgb: NDArray[np.uint8]) -> None:
        """rgb: uint8 [S, S, 3]."""
        self._picture(slot, buffer)[:] = rgb

    def read_picture(self, slot: int, buffer: int) -> NDArray[np.uint8]:
        """A copy: the buffer may be written as soon as this returns."""
        return self._picture(slot, buffer).copy()

    def write_masks(self, slot: int, buffer: int, logits: NDArray[np.float32]) -> None:
        """logits: float32 [N, S/4, S/4], N at most MAX_OBJECTS; kept as float16."""
        self._masks(slot, buffer)[: len(logits)] = logits

    def read_masks(self, slot: int, buffer: int, count: int) -> NDArray[np.float32]:
        """A copy of the first `count` masks: float32 [count, S/4, S/4]."""
        return self._masks(slot, buffer)[:count].astype(np.float32)

    def close(self) -> None:
        """Unmap the memory. It is freed when both processes have."""
        self._memory.close()

    def unlink(self) -> None:
        """Remove the name. Called once, by the side that created it."""
        self._memory.unlink()

    def _picture(self, slot: int, buffer: int) -> NDArray[np.uint8]:
        offset = self._offset(slot) + buffer * _picture(self._side)
        shape = (self._side, self._side, 3)
        return np.ndarray(shape, np.uint8, self._memory.buf, offset)

    def _masks(self, slot: int, buffer: int) -> NDArray[np.float16]:
        pictures = BUFFERS * _picture(self._side)
        offset = self._offset(slot) + pictures + buffer * _masks(self._side)
        shape = (MAX_OBJECTS, self._side // 4, self._side // 4)
        return np.ndarray(shape, np.float16, self._memory.buf, offset)

    def _offset(self, slot: int) -> int:
        if not 0 <= slot < self._slots:
            raise IndexError(f"no slot {slot}; there are {self._slots}")
        return slot * _slot(self._side)


def _check_room(size: int) -> None:
    """Where the system's shared memory is too small, writing to it later would kill the process."""
    if not SHARED.is_dir():
        return
    system = os.statvfs(SHARED)
    free = system.f_bavail * system.f_frsize
    if free < size:
        raise ModelError(
            f"{SHARED} has {free >> 20} MiB free; this model needs {(size >> 20) + 1} for its "
            "sessions: enlarge it (for a container: --shm-size) or take a smaller input size"
        )


def _picture(side: int) -> int:
    return side * side * 3


def _masks(side: int) -> int:
    return MAX_OBJECTS * (side // 4) ** 2 * 2


def _slot(side: int) -> int:
    return BUFFERS * (_picture(side) + _masks(side))

import warnings
from pathlib import Path

import numpy as np
import pytest

from stream.errors import ModelError
from stream.limits import MAX_OBJECTS
from stream.worker.shm import BUFFERS, SharedSlots

SIZE = 64


def test_every_buffer_is_its_own() -> None:
    ours = SharedSlots.create(SIZE, 3)
    theirs = SharedSlots.attach(ours.name, SIZE, 3)
    ours.unlink()
    places = [(slot, buffer) for slot in range(3) for buffer in range(BUFFERS)]
    for value, place in enumerate(places, 1):
        ours.write_picture(*place, np.full((SIZE, SIZE, 3), value, np.uint8))
        theirs.write_masks(*place, np.full((MAX_OBJECTS, 16, 16), -value, np.float32))
    for value, place in enumerate(places, 1):
        assert np.all(theirs.read_picture(*place) == value)
        masks = ours.read_masks(*place, MAX_OBJECTS)
        assert masks.dtype == np.float32
        assert np.all(masks == -value)
    ours.close()
    theirs.close()


def test_logits_keep_their_sign_and_nearly_their_value() -> None:
    memory = SharedSlots.create(SIZE, 1)
    memory.unlink()
    logits = np.random.default_rng(1).normal(0, 8, (3, 16, 16)).astype(np.float32)
    logits[2] = -1024
    memory.write_masks(0, 1, logits)
    kept = memory.read_masks(0, 1, 3)
    assert np.array_equal(kept > 0, logits > 0)
    assert np.allclose(kept, logits, rtol=1e-3)
    assert np.all(kept[2] == -1024)
    memory.close()


def test_what_was_read_is_a_copy() -> None:
    memory = SharedSlots.create(SIZE, 1)
    memory.unlink()
    memory.write_picture(0, 0, np.full((SIZE, SIZE, 3), 7, np.uint8))
    picture = memory.read_picture(0, 0)
    memory.write_picture(0, 0, np.zeros((SIZE, SIZE, 3), np.uint8))
    memory.close()
    assert np.all(picture == 7)


def test_no_slot_beyond_the_last() -> None:
    memory = SharedSlots.create(SIZE, 2)
    memory.unlink()
    for slot in (-1, 2):
        with pytest.raises(IndexError):
            memory.read_picture(slot, 0)
    memory.close()


def test_the_name_is_gone_at_once_and_the_memory_with_its_last_user() -> None:
    memory = SharedSlots.create(SIZE, 1)
    path = Path("/dev/shm", memory.name)
    assert path.exists()
    other = SharedSlots.attach(memory.name, SIZE, 1)
    memory.unlink()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        SharedSlots.attach(memory.name, SIZE, 1)
    memory.close()
    other.write_picture(0, 0, np.ones((SIZE, SIZE, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.close()


def test_too_little_room_is_told_before_it_kills() -> None:
    with pytest.raises(ModelError, match="--shm-size"):
        SharedSlots.create(1024, 1_000_000)

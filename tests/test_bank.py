"""The memory bank: what is kept, for how long, and in which order it is recalled."""

import pytest

from stream.track.bank import Memory, MemoryBank
from stream.track.networks.base import Spec

SPEC = Spec(image_size=256)


def memory(index: int) -> Memory:
    return Memory(index, f"spatial {index}", f"pointer {index}")


def filled(last: int, max_conditioning: int | None = None) -> MemoryBank:
    """Prompted on frame 0, tracked on 1..last."""
    bank = MemoryBank(SPEC, max_conditioning)
    bank.condition(memory(0))
    for index in range(1, last + 1):
        bank.remember(memory(index))
    return bank


def test_recalls_the_prompted_frame_first_then_the_last_six_from_old_to_new() -> None:
    recall = filled(20).recall(21)
    assert recall.spatial == tuple(f"spatial {i}" for i in (0, 15, 16, 17, 18, 19, 20))
    assert recall.spatial_distances == (0, 6, 5, 4, 3, 2, 1)


def test_recalls_fifteen_pointers_from_new_to_old_with_true_distances() -> None:
    recall = filled(20).recall(21)
    assert recall.pointers == tuple(f"pointer {i}" for i in (0, *range(20, 5, -1)))
    assert recall.pointer_distances == (21, *range(1, 16))


def test_a_young_bank_recalls_what_there_is() -> None:
    assert filled(0).recall(1).shape == (1, 1)
    assert filled(2).recall(3).shape == (3, 3)


def test_distance_counts_not_position() -> None:
    bank = filled(6)
    bank.condition(memory(7))
    bank.remember(memory(8))
    recall = bank.recall(9)
    assert recall.spatial_distances == (0, 0, 6, 5, 4, 3, 1)


def test_prompting_a_tracked_frame_replaces_what_it_left() -> None:
    bank = filled(5)
    bank.condition(memory(5))
    recall = bank.recall(6)
    assert recall.spatial.count("spatial 5") == 1
    assert recall.pointers.count("pointer 5") == 1


def test_never_grows() -> None:
    bank = filled(500, max_conditioning=4)
    for index in range(501, 600):
        bank.condition(memory(index))
    assert bank.recall(600).shape == (4, 4)
    assert len(bank.spatial) == 6
    assert len(bank.pointers) == 15


def test_the_first_prompt_is_pinned_and_the_newest_stay() -> None:
    bank = filled(0, max_conditioning=3)
    for index in (10, 20, 30):
        bank.condition(memory(index))
    assert [kept.index for kept in bank.conditioning] == [0, 20, 30]


def test_a_copy_goes_its_own_way() -> None:
    bank = filled(3)
    twin = bank.copy()
    twin.condition(memory(4))
    twin.remember(memory(5))
    assert bank.recall(6) == filled(3).recall(6)


def test_a_limit_below_two_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        MemoryBank(SPEC, max_conditioning=1)

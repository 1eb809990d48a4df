"""Whose turn it is, without processes or time."""

import random
from collections import Counter

from stream.limits import MAX_PROMPTS_A_TURN
from stream.messages import RemoveObject, Undo
from stream.prompts import Point
from stream.worker.messages import AddPrompt
from stream.worker.scheduler import Scheduler

CLICK = AddPrompt(Point(1, 3, 4), new=True)


def taken(scheduler: Scheduler[str], most: int = 9) -> list[tuple[int, str | None, list[int]]]:
    return [
        (work.stream, work.picture, [token for token, _ in work.commands])
        for work in scheduler.take(most)
    ]


def tracking(*streams: int) -> Scheduler[str]:
    """Streams that have objects and nothing to do."""
    scheduler: Scheduler[str] = Scheduler()
    for stream in streams:
        scheduler.open(stream)
        scheduler.command(stream, 0, CLICK)
        scheduler.offer(stream, "first")
        assert taken(scheduler) == [(stream, "first", [0])]
        scheduler.finish(stream, tracking=True)
    assert not scheduler.has_work()
    return scheduler


def test_the_newest_picture_wins() -> None:
    scheduler = tracking(1)
    assert scheduler.offer(1, "a") is None
    assert scheduler.offer(1, "b") == "a"
    assert taken(scheduler) == [(1, "b", [])]


def test_the_stream_that_waits_longest_is_first_and_keeps_its_turn() -> None:
    scheduler = tracking(1, 2, 3)
    for stream, picture in [(3, "a"), (1, "a"), (2, "a"), (3, "b")]:
        scheduler.offer(stream, picture)
    assert taken(scheduler, most=2) == [(3, "b", []), (1, "a", [])]
    scheduler.offer(3, "c")
    scheduler.finish(3, tracking=True)
    assert taken(scheduler) == [(2, "a", []), (3, "c", [])]


def test_a_stream_gets_no_second_turn_before_the_first_is_over() -> None:
    scheduler = tracking(1)
    scheduler.offer(1, "a")
    assert taken(scheduler)
    scheduler.offer(1, "b")
    scheduler.command(1, 1, Undo())
    assert not scheduler.has_work()
    scheduler.finish(1, tracking=True)
    assert taken(scheduler) == [(1, "b", [1])]


def test_without_objects_a_picture_is_no_work_but_prompts_take_it() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.open(1)
    scheduler.offer(1, "a")
    assert not scheduler.has_work()
    scheduler.command(1, 0, CLICK)
    assert taken(scheduler) == [(1, "a", [0])]
    scheduler.finish(1, tracking=False)
    scheduler.offer(1, "b")
    assert not scheduler.has_work()


def test_prompts_wait_for_a_picture_and_what_is_behind_them_too() -> None:
    scheduler = tracking(1)
    for token, command in enumerate([RemoveObject(1), CLICK, Undo()]):
        scheduler.command(1, token, command)
    assert taken(scheduler) == [(1, None, [0])]
    scheduler.finish(1, tracking=True)
    assert not scheduler.has_work()
    scheduler.offer(1, "a")
    assert taken(scheduler) == [(1, "a", [1, 2])]


def test_many_prompts_are_dealt_out_over_turns() -> None:
    """All at once they would take longer than a worker may say nothing: it would be killed, and
    everybody's objects with it."""
    scheduler = tracking(1)
    given: list[int] = []
    for token in range(4 * MAX_PROMPTS_A_TURN):
        scheduler.command(1, token, Undo() if token == 1 else CLICK)
    assert not scheduler.has_work(), "they wait for a picture"
    scheduler.offer(1, "a")
    while scheduler.has_work():
        (_, picture, tokens), *_ = taken(scheduler)
        assert picture == (None if given else "a"), "and the rest for no other"
        assert len([token for token in tokens if token != 1]) <= MAX_PROMPTS_A_TURN
        given += tokens
        assert not scheduler.has_work()
        scheduler.finish(1, tracking=True)
    assert given == list(range(4 * MAX_PROMPTS_A_TURN))
    assert not scheduler.has_work()


def test_a_restored_stream_does_nothing_before_its_first_picture() -> None:
    scheduler: Scheduler[str] = Scheduler()
    scheduler.open(1, restored=True)
    scheduler.command(1, 0, Undo())
    assert not scheduler.has_work()
    scheduler.offer(1, "a")
    assert taken(scheduler) == [(1, "a", [0])]


def test_a_closed_stream_has_no_turn_and_may_still_be_finished() -> None:
    scheduler = tracking(1, 2)
    scheduler.offer(1, "a")
    scheduler.offer(2, "a")
    assert taken(scheduler, most=1) == [(1, "a", [])]
    scheduler.close(1)
    scheduler.close(2)
    scheduler.finish(1, tracking=True)
    assert not scheduler.has_work()
    assert 1 not in scheduler


def test_under_load_all_get_the_same_share_and_nothing_is_lost() -> None:
    chance = random.Random(4)
    scheduler = tracking(*range(5))
    served: Counter[int] = Counter()
    offered, seen, displaced = 0, 0, 0
    for round in range(4000):
        stream = chance.choice([0, 0, 0, 0, 1, 2, 3, 4])
        displaced += scheduler.offer(stream, "x") is not None
        offered += 1
        for work in scheduler.take(1) if round % 20 == 19 else ():
            served[work.stream] += 1
            seen += 1
            scheduler.finish(work.stream, tracking=True)
    seen += len(scheduler.take(9))
    assert offered == seen + displaced
    assert max(served.values()) - min(served.values()) <= 2

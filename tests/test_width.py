"""Whether a single call uses all threads or one."""

import pytest

from stream.track.networks.width import EXPLORE, GAIN, REMEMBERED, Width


def run(width: Width, seconds: dict[bool, float], calls: int) -> list[bool]:
    """Calls that take so long with all threads and with one; which each had."""
    made = []
    for _ in range(calls):
        wide = width.next()
        width.took(wide, seconds[wide])
        made.append(wide)
    return made


@pytest.mark.parametrize(("narrow", "pays"), [(1.6, True), (GAIN + 0.01, True), (1.05, False)])
def test_all_threads_where_that_is_much_faster(narrow: float, pays: bool) -> None:
    width = Width()
    run(width, {True: 1.0, False: narrow}, EXPLORE)
    assert run(width, {True: 1.0, False: narrow}, EXPLORE).count(pays) == EXPLORE - 1
    assert width.pays == pays


def test_it_changes_with_what_else_the_machine_does() -> None:
    width = Width()
    idle, busy = {True: 1.0, False: 1.6}, {True: 2.1, False: 2.0}
    run(width, idle, 3 * EXPLORE)
    assert width.pays
    run(width, busy, EXPLORE * REMEMBERED)
    assert not width.pays
    run(width, idle, EXPLORE * REMEMBERED)
    assert width.pays


def test_one_slow_call_changes_nothing() -> None:
    width = Width()
    run(width, {True: 1.0, False: 1.6}, 4 * EXPLORE)
    width.took(True, 100.0)
    assert width.pays

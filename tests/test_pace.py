"""How fast a job may go: heeded by its process, told by the server."""

import threading
import time

import pytest

from stream.jobs import pace as module
from stream.jobs.pace import Pace, told


def test_without_a_rate_nobody_waits() -> None:
    pace = Pace()
    began = time.monotonic()
    for _ in range(1000):
        pace.wait()
    assert time.monotonic() - began < 1


def test_pictures_begin_no_sooner_than_the_rate_lets_them() -> None:
    pace = Pace()
    pace.set(20)
    begun = []
    for _ in range(5):
        pace.wait()
        begun.append(time.monotonic())
        time.sleep(0.02)  # the picture itself takes some of its time
    assert 4 / 20 - 0.01 < begun[-1] - begun[0] < 2


def test_who_waits_hears_of_a_new_rate() -> None:
    pace = Pace()
    pace.set(0.01)
    pace.wait()
    waiting = threading.Thread(target=pace.wait)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    pace.set(None)
    waiting.join(10)
    assert not waiting.is_alive()


async def test_only_what_has_changed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0)
    rates = iter([None, None, 1.0, 1.0, 0.5, None])
    messages = told(lambda: next(rates))
    assert [(await anext(messages))["rate"] for _ in range(4)] == [None, 1.0, 0.5, None]

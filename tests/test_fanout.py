"""Viewers come and go, and none holds up another."""

import asyncio

import pytest

from stream.errors import Busy
from stream.fanout import Fanout
from stream.mailbox import MailboxClosedError


async def test_each_reader_gets_the_newest_and_a_slow_one_slows_nobody() -> None:
    fanout: Fanout[int] = Fanout(4)
    fast, slow = fanout.watch(), fanout.watch()
    read = []
    for number in range(100):
        fanout.put(number)
        read.append(await fast.get())
    assert read == list(range(100))
    assert await slow.get() == 99
    assert (fast.dropped, slow.dropped, fanout.dropped) == (0, 99, 99)


async def test_put_tells_whether_somebody_was_ready() -> None:
    fanout: Fanout[int] = Fanout(4)
    assert not fanout.put(0), "nobody watches"
    fast, _slow = fanout.watch(), fanout.watch()
    assert fanout.put(1)
    assert not fanout.put(2)
    await fast.get()
    assert fanout.put(3)


async def test_drops_of_those_who_left_are_not_forgotten() -> None:
    fanout: Fanout[int] = Fanout(1)
    for visit in range(1, 11):
        mailbox = fanout.watch()
        for number in range(4):
            fanout.put(number)
        fanout.unwatch(mailbox)
        fanout.unwatch(mailbox)
        assert fanout.dropped == visit * 3
        assert len(fanout) == 0


async def test_one_too_many_is_told_when_to_come_back() -> None:
    fanout: Fanout[int] = Fanout(2)
    first = fanout.watch()
    fanout.watch()
    with pytest.raises(Busy) as caught:
        fanout.watch()
    assert caught.value.retry_after > 0
    fanout.unwatch(first)
    fanout.watch()


async def test_readers_are_told_of_the_end() -> None:
    fanout: Fanout[int] = Fanout(2)
    waiting = asyncio.create_task(fanout.watch().get())
    await asyncio.sleep(0)
    fanout.close()
    with pytest.raises(MailboxClosedError):
        await waiting
    with pytest.raises(MailboxClosedError):
        await fanout.watch().get()
    assert not fanout.put(1)

import asyncio

import pytest

from stream.mailbox import Mailbox, MailboxClosedError


async def test_newest_wins_and_what_is_lost_is_counted() -> None:
    slot: Mailbox[int] = Mailbox()
    for item in range(5):
        slot.put(item)
    assert await slot.get() == 4
    assert slot.dropped == 4
    assert len(slot) == 0


async def test_a_larger_one_keeps_the_order() -> None:
    box: Mailbox[int] = Mailbox(3)
    for item in range(5):
        box.put(item)
    assert [await box.get() for _ in range(3)] == [2, 3, 4]
    assert box.dropped == 2


async def test_reader_waits_for_the_next_item() -> None:
    slot: Mailbox[str] = Mailbox()
    reader = asyncio.create_task(slot.get())
    await asyncio.sleep(0)
    assert not reader.done()
    slot.put("picture")
    async with asyncio.timeout(5):
        assert await reader == "picture"


async def test_closing_wakes_the_reader_and_drops_the_rest() -> None:
    slot: Mailbox[str] = Mailbox()
    reader = asyncio.create_task(slot.get())
    await asyncio.sleep(0)
    slot.close()
    with pytest.raises(MailboxClosedError):
        await reader
    slot.put("too late")
    with pytest.raises(MailboxClosedError):
        await slot.get()

"""A process of ours that is ended in the middle of what it says."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rtc_client import eventually

from stream.child import Child, ChildDied
from stream.limits import CLOSE_TIMEOUT

TALKS = """
import sys
while True:
    sys.stdout.write("x" * 1000 + "\\n")
"""


@pytest.fixture
async def talkative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Child]:
    """One whose pipes are full; in the end it must have left nothing open."""
    (tmp_path / "talkative.py").write_text(TALKS)
    monkeypatch.syspath_prepend(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    child = await Child.start("talkative", max_line=2000)
    await asyncio.sleep(0.3)
    yield child
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_one_that_says_more_than_is_read_leaves_nothing_open(talkative: Child) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT / 2):
        await talkative.kill()


async def test_who_hears_it_is_told_that_it_died(talkative: Child) -> None:
    async def hear() -> None:
        while True:
            await talkative.line()

    hearing = asyncio.create_task(hear())
    await asyncio.sleep(0.1)
    await talkative.kill()
    with pytest.raises(ChildDied):
        await hearing


async def test_who_is_cancelled_while_ending_it_leaves_nothing_open_either(
    talkative: Child,
) -> None:
    ending = asyncio.create_task(talkative.kill())
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert ending.cancelled()

"""A process of ours that is ended in the middle of what it says."""

import asyncio
import os
from pathlib import Path

import pytest
from rtc_client import eventually

from stream.child import Child

TALKS = """
import sys
while True:
    sys.stdout.write("x" * 1000 + "\\n")
"""


async def test_one_that_says_more_than_is_read_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talkative.py").write_text(TALKS)
    monkeypatch.syspath_prepend(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    child = await Child.start("talkative", max_line=2000)
    await asyncio.sleep(0.3)  # until all pipes are full
    await child.kill()
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_who_is_cancelled_while_ending_it_leaves_nothing_open_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talkative.py").write_text(TALKS)
    monkeypatch.syspath_prepend(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    child = await Child.start("talkative", max_line=2000)
    await asyncio.sleep(0.3)
    ending = asyncio.create_task(child.kill())
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert ending.cancelled()
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)

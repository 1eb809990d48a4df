"""A process of ours that is ended in the middle of what it says."""

import asyncio
import os
from pathlib import Path

import pytest

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
    for _ in range(100):
        if len(os.listdir("/proc/self/fd")) <= before:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(os.listdir("/proc/self/fd"))

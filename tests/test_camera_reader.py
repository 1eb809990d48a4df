"""The reading process over several connections: each begins afresh."""

import io
import json
import mmap
import threading
import time
from pathlib import Path
from typing import Any

from rtc_client import Scene  # noqa: F401 (aiortc first, as everywhere)

from stream.ingest import reader
from stream.ingest.address import Kind
from stream.ingest.reader import Slots, play
from stream.ingest.reader_messages import SLOT_BYTES, SLOTS, Open
from tests import drawn_clips as clips


class Said(io.BytesIO):
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def slots() -> tuple[Slots, Said]:
    said = Said()
    return Slots(mmap.mmap(-1, SLOTS * SLOT_BYTES), said), said


def order(path: Path) -> Open:
    return Open(str(path), Kind.FILE, "file", loop=False)


def test_nothing_comes_after_the_end_of_a_connection(tmp_path: Path) -> None:
    """It would be taken for the first picture of the next one."""
    path = clips.make(tmp_path / "a.mp4", count=4)
    made, said = slots()
    slow, copy = threading.Event(), reader.copy_planes

    def copy_slowly(*given: Any) -> None:
        time.sleep(0.1)
        copy(*given)
        slow.set()

    reader.copy_planes = copy_slowly
    try:
        play(order(path), made)
        assert slow.wait(10)
        time.sleep(0.3)
    finally:
        reader.copy_planes = copy
    kinds = [message["is"] for message in said.messages()]
    assert kinds[-1] == "Closed"
    assert "Picture" in kinds


def test_what_is_lost_is_counted_for_each_connection(tmp_path: Path) -> None:
    made, said = slots()
    made._free.clear()
    made.damaged = 3
    play(order(clips.make(tmp_path / "a.mp4", count=8)), made)
    assert made._dropped
    made._free.append(0)
    play(order(clips.make(tmp_path / "b.mp4", count=1)), made)
    (picture,) = [each for each in said.messages() if each["is"] == "Picture"]
    assert (picture["dropped"], picture["damaged"]) == (0, 0)

"""The camera file is followed for as long as the server runs, whatever one change did."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_tracker import bright_supervisor
from rtc_client import eventually

import stream.server.cameras
from stream.cameras import CameraConfig, CameraFile, add, remove
from stream.server.cameras import Camera, Cameras


@pytest.fixture
async def cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cameras]:
    monkeypatch.setattr(stream.server.cameras, "TICK", 0.05)
    tracker = bright_supervisor()
    await asyncio.to_thread(tracker.start)
    with ThreadPoolExecutor(1) as pool:
        made = Cameras(tracker, pool, CameraFile(tmp_path / "cameras.json"))
        await made.start()
        yield made
        await made.close()
    await asyncio.to_thread(tracker.stop)


async def test_a_camera_that_cannot_be_closed_keeps_no_other_out(
    cameras: Cameras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CameraFile(tmp_path / "cameras.json")
    await asyncio.to_thread(file.update, add(CameraConfig("one", "rtsp://127.0.0.1:1/x")))
    await eventually(lambda: len(cameras) == 1)
    with monkeypatch.context() as patch:
        close = Camera.close

        async def fail(self: Camera) -> None:
            await close(self)
            raise RuntimeError("something of it cannot be freed")

        patch.setattr(Camera, "close", fail)
        await asyncio.to_thread(file.update, remove("one"))
        await eventually(lambda: len(cameras) == 0)
    await asyncio.to_thread(file.update, add(CameraConfig("two", "rtsp://127.0.0.1:1/x")))
    await eventually(lambda: [c.config.name for c in cameras.list()] == ["two"], 5)

"""Viewers that leave without a word: nothing of them stays, however they watched."""

import asyncio
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from camera_server import Http, add_camera
from fake_tracker import bright_supervisor
from rtc_client import eventually
from rtsp_camera import write_clip
from test_cameras import Viewer
from test_webrtc import vanish

import stream.server.camera_viewer
import stream.server.peer
from stream.server import mjpeg, reports
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.settings import Settings


async def test_who_watches_a_camera_and_vanishes_gives_its_place_back(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_camera(http, name="film", url=str(write_clip(tmp_path / "clip.mp4")))
    gone, stays = Viewer("film"), Viewer("film")
    monkeypatch.setattr(stream.server.peer, "STATS_INTERVAL", 0.1)
    peers = http.app[PEERS]
    try:
        await gone.watch(http)
        await stays.watch(http)
        assert peers.watching["camera"] == 2
        monkeypatch.setattr(stream.server.camera_viewer, "VIEWER_SILENCE", 4.0)
        vanish(gone.connection)
        await eventually(lambda: peers.watching["camera"] == 1)
        assert peers.peer(stays.session)
        await asyncio.sleep(5)
        assert peers.peer(stays.session), "it still reports"
    finally:
        await gone.close()
        await stays.close()


async def test_who_waits_for_pictures_that_do_not_come_and_leaves_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that shows a camera which is away, and is loaded again and again."""
    monkeypatch.setattr(mjpeg, "LOOK_INTERVAL", 0.1)
    app = create_app(Settings(), bright_supervisor())
    runner = web.AppRunner(app)  # as the server runs: aiohttp's tests cancel what is left alone
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            camera = {"name": "away", "url": "rtsp://127.0.0.1:1/none"}
            assert (await http.post("/cameras", json=camera)).status == 201
            for _ in range(3):
                response = await http.get("/cameras/away/mjpeg")
                assert response.status == 200
                response.close()
            await eventually(lambda: not app[mjpeg.VIEWERS])
    finally:
        await runner.cleanup()


class Sender:
    """What an RTCRtpSender tells of itself. reported: seconds."""

    def __init__(self) -> None:
        self.sent = self.reported = 0

    async def getStats(self) -> dict[str, Any]:  # noqa: N802 (the name in W3C's API)
        told = datetime.fromtimestamp(self.reported)
        return {
            "out": SimpleNamespace(type="outbound-rtp", packetsSent=self.sent),
            "in": SimpleNamespace(type="remote-inbound-rtp", timestamp=told),
        }


async def test_reports_are_expected_while_pictures_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(reports.time, "monotonic", lambda: clock.now)
    sender, found = Sender(), reports.Reports()
    assert await found.have_come(sender), "nothing has gone out yet"  # type: ignore[arg-type]

    async def after(seconds: float, sent: int, reported: int) -> bool:
        clock.now += seconds
        sender.sent += sent
        sender.reported += reported
        return await found.have_come(sender)  # type: ignore[arg-type]

    assert await after(1, 30, 1)
    assert not await after(1, 30, 0)
    assert await after(1, 30, 1)
    # Receivers report on what they receive: none on a source that stands still.
    assert not await after(1, 0, 0)
    assert await after(10, 0, 0)
    assert not await after(1, 30, 0)

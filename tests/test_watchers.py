"""Publishers, viewers and cameras as operators see them: counted, drained, and told no secrets."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from camera_server import SECRET, add_camera
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene, eventually
from test_metrics import scrape
from whip_client import SDP, Party

from stream import config, logs
from stream.errors import InputError
from stream.network import ice_servers
from stream.server.app import create_app
from stream.server.drain import DRAIN
from stream.settings import Settings

Http = TestClient[Any, Any]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    app = create_app(Settings(drain_seconds=60), bright_supervisor())
    async with TestClient(TestServer(app)) as client:
        yield client


def drain(http: Http) -> Any:
    assert http.server is not None
    return http.server.app[DRAIN]  # type: ignore[attr-defined]


async def test_all_are_counted_and_drained_and_closed(http: Http) -> None:
    await add_camera(http, name="door", url="rtsp://127.0.0.1:1/none")
    publisher, viewer, watcher = Party(Scene()), Party(watches=("video",)), Client(Scene())
    await publisher.begin(http, "/whip?session=studio")
    await viewer.begin(http, "/whep/studio")
    await viewer.until(lambda: viewer.pictures)
    offer = {**(await watcher.offer()), "camera": "door"}
    async with http.post("/rtc", json=offer) as response:
        assert response.status == 200
        watching = (await response.json())["session"]
    jpeg = await http.get("/sessions/studio/mjpeg")
    assert jpeg.status == 200

    found = await scrape(http)
    assert found["segstream_sessions", ""] == 1
    assert found["segstream_cameras", "connecting"] + found["segstream_cameras", "waiting"] == 1
    assert [found["segstream_viewers", by] for by in ("camera", "whep", "jpeg")] == [1, 1, 1]
    health = await (await http.get("/healthz")).json()
    assert (health["sessions"], health["viewers"], health["cameras"]) == (1, 3, 1)

    ended: list[bool] = []
    drain(http).begin(lambda: ended.append(True))
    assert drain(http).running() == {"sessions": 1, "viewers": 3}
    refused = [
        ("/rtc", {"json": {key: offer[key] for key in ("type", "sdp")}}),
        ("/rtc", {"json": offer}),
        ("/whip", {"data": publisher.connection.localDescription.sdp, "headers": SDP}),
        ("/whep/studio", {"data": viewer.connection.localDescription.sdp, "headers": SDP}),
        ("/cameras", {"json": {"name": "gate", "url": "rtsp://127.0.0.1:1/none"}}),
    ]
    for path, body in refused:
        async with http.post(path, **body) as response:
            assert response.status == 503, (path, await response.text())
            assert response.headers["Retry-After"] == "60"
    assert (await http.get("/sessions/studio/mjpeg")).status == 503
    assert not ended
    assert (await http.delete(publisher.location)).status == 200
    await eventually(lambda: drain(http).running() == {"viewers": 1})
    assert (await http.delete(f"/rtc/{watching}")).status == 204
    await eventually(lambda: ended)
    assert (await (await http.get("/healthz")).json())["cameras"] == 1, "they go on until the end"
    for party in (publisher, viewer, watcher):
        await party.close()


def test_no_secret_of_the_settings_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in (
        'token = "hunt er2"',
        "token = [1, 'hunter2']",
        'ice_servers = ["turn:u:hunter2@"]',
        'ice_servers = {password = "hunter2"}',
        'ice_servers = [{url = "turn:h", password = "hunter2"}]',
    ):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(InputError) as caught:
            config.read(tmp_path / "a.toml")
        assert "hunter2" not in str(caught.value), text
        assert "hunt er2" not in str(caught.value), text
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []  # pytest's own, which `configure` would close
    try:
        servers = ice_servers("turn:user:hunter2@h")
        logs.configure(Settings(token="opensesame", ice_servers=servers, log_format="json"))
        logging.getLogger("x").warning("%s %s %s", "opensesame", servers[0].credential, SECRET)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "*** *** rtsp://***@127.0.0.1:1/live?token=***"

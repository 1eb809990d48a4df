"""What strangers with a little leave must not reach: others' cameras and others' pictures."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from multidict import MultiDict

from stream.cameras import CameraConfig
from stream.errors import InputError
from stream.network import Network
from stream.server.app import create_app
from stream.server.cameras import Camera
from stream.server.gate import GATE
from stream.server.whip import read_query
from stream.settings import Settings

TOKEN = "operators-token"

CAMERA = {"name": "door", "url": "rtsp://127.0.0.1:1/none"}


@asynccontextmanager
async def served(data: Path, **settings: Any) -> AsyncIterator[TestClient[Any, Any]]:
    app = create_app(Settings(data=data, **settings), bright_supervisor())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_no_publisher_can_take_a_cameras_place() -> None:
    """Both are streams of one tracker, by their sessions' names: under one name the publisher's
    picture would get the camera's masks, and its end would end the camera's tracking."""
    with ThreadPoolExecutor(1) as pool:
        config = CameraConfig("door", "rtsp://127.0.0.1:1/none")
        camera = Camera(config, bright_supervisor(), pool, None, 1_000_000, Network())
    with pytest.raises(InputError, match="session"):
        read_query(MultiDict(session=camera.session.id))


@pytest.mark.parametrize("path", ["mjpeg", "snapshot.jpg"])
async def test_the_token_guards_every_way_to_watch_a_session(tmp_path: Path, path: str) -> None:
    """Names such as "studio" can be guessed."""
    async with served(tmp_path, token=TOKEN) as http:
        assert (await http.get(f"/sessions/studio/{path}")).status == 401
        for given in ({"params": {"token": TOKEN}}, {"headers": {"x-api-key": TOKEN}}):
            assert (await http.get(f"/sessions/studio/{path}", **given)).status == 404
    async with served(tmp_path) as http:
        assert (await http.get(f"/sessions/studio/{path}")).status == 404


async def test_keys_watch_cameras_and_only_the_operator_changes_them(tmp_path: Path) -> None:
    async with served(tmp_path, session_keys="all", token=TOKEN) as http:
        key = http.app[GATE].keys.create("k")
        answer = await http.post("/session-tokens", headers={"x-api-key": key})
        token = (await answer.json())["token"]
        operators = {"Authorization": f"Bearer {TOKEN}"}
        assert (await http.post("/cameras", json=CAMERA, headers=operators)).status == 201
        for given in (key, token):
            headers = {"Authorization": f"Bearer {given}"}
            for method, path, body in (
                ("POST", "/cameras", {**CAMERA, "name": "mine"}),
                ("POST", "/cameras/door/recording", None),
                ("POST", "/cameras/door/publications", {"url": "rtmp://127.0.0.1/app/key"}),
                ("DELETE", "/cameras/door/publications/1", None),
                ("DELETE", "/cameras/door/recording", None),
                ("DELETE", "/cameras/door", None),
            ):
                answer = await http.request(method, path, json=body, headers=headers)
                assert answer.status == 403, (method, path)
                assert "operator" in (await answer.json())["error"]["message"]
            for path in ("/cameras", "/cameras/door", "/cameras/door/publications"):
                assert (await http.get(path, headers=headers)).status == 200
        assert (await http.delete("/cameras/door", headers=operators)).status == 204

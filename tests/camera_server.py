"""A server with cameras, as a program sees it that uses its API."""

import asyncio
from typing import Any

import cv2
import numpy as np
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor

from stream.server.app import create_app
from stream.settings import Settings

Http = TestClient[Any, Any]
SECRET = "rtsp://admin:s3cret@127.0.0.1:1/live?token=s3cret"


def serving(settings: Settings) -> Http:
    """To be entered; its tracker finds what is bright."""
    return TestClient(TestServer(create_app(settings, bright_supervisor())))


async def state(http: Http, name: str) -> dict[str, Any]:
    async with http.get(f"/cameras/{name}") as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def until(http: Http, name: str, **wanted: object) -> dict[str, Any]:
    """The camera's state once it has these fields."""
    for _ in range(400):
        found = await state(http, name)
        if all(found[key] == value for key, value in wanted.items()):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} never became {wanted}")


async def add_camera(http: Http, **given: object) -> dict[str, Any]:
    async with http.post("/cameras", json=given) as response:
        body = await response.json()
        assert response.status == 201, body
        return dict(body)


def square(picture: np.ndarray) -> np.ndarray:
    """Where the scene's bright square is: bool [H, W]."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) > 120)

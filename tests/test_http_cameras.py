"""Cameras over HTTP: files that a server has, and multipart JPEG as network cameras send it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from camera_server import Http, add_camera, square, state, until
from rtsp_camera import HEIGHT, WIDTH, scene

from stream.ingest.orientation import StreamUpright
from tests import drawn_clips as clips

ENDS = web.AppKey("ENDS", asyncio.Event)


async def multipart(request: web.Request) -> web.StreamResponse:
    """Until the camera is removed, which closes the connection, or the server ends."""
    response = web.StreamResponse()
    response.headers["Content-Type"] = "multipart/x-mixed-replace; boundary=next"
    await response.prepare(request)
    for index in itertools.count():
        picture = cv2.imencode(".jpg", scene(index)[:, :, ::-1])[1].tobytes()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        try:
            await response.write(head.encode() + picture + b"\r\n")
        except ConnectionError:
            break
        if request.app[ENDS].is_set():
            break
        await asyncio.sleep(1 / 30)
    return response


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[str]:
    """Address of a server with the clips of a folder, and a camera."""
    app = web.Application()
    app[ENDS] = asyncio.Event()

    async def end(app: web.Application) -> None:
        app[ENDS].set()

    app.on_shutdown.append(end)
    app.router.add_get("/live", multipart)
    app.router.add_static("/", tmp_path)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def snapshot(http: Http, name: str) -> np.ndarray:
    async with http.get(f"/cameras/{name}/snapshot.jpg") as response:
        assert response.status == 200, await response.text()
        return cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR)


async def more_pictures(http: Http, before: int, count: int) -> int:
    """How many more have come, once it is so many."""
    for _ in range(600):
        found = await state(http, "far")
        if found["pictures"] >= before + count:
            return int(found["pictures"]) - before
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def write(path: Path, count: int = 90) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=WIDTH, height=HEIGHT)
        stream.pix_fmt = "yuv420p"
        for index in range(count):
            picture = av.VideoFrame.from_ndarray(scene(index), "rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("path", ["film.mp4", "film.ts", "live"])
async def test_a_camera_over_http_is_shown_at_its_own_pace(
    http: Http, source: str, tmp_path: Path, path: str
) -> None:
    if path != "live":
        write(tmp_path / path)
    await add_camera(http, name="far", url=source + path, effect="none")
    await until(http, "far", state="live")
    picture = await snapshot(http, "far")
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert 0.05 < square(picture).mean() < 0.12
    before, began = (await state(http, "far"))["pictures"], time.monotonic()
    came = await more_pictures(http, before, 30)
    assert came < 60 * (time.monotonic() - began), "30 a second, not as fast as can be fetched"


@pytest.mark.parametrize("path", ["film.mp4", "film.ts"])
async def test_a_film_over_http_begins_again(
    http: Http, source: str, tmp_path: Path, path: str
) -> None:
    write(tmp_path / path, count=15)
    await add_camera(http, name="far", url=source + path, effect="none")
    assert await more_pictures(http, 0, 41) > 40


async def test_a_film_that_lies_on_its_side_is_turned(
    http: Http, source: str, tmp_path: Path
) -> None:
    clips.make(tmp_path / "phone.mp4", count=60, rotation=90)
    await add_camera(http, name="far", url=source + "phone.mp4", effect="none")
    await add_camera(http, name="near", url=str(tmp_path / "phone.mp4"), effect="none")
    shapes = {}
    for name in ("far", "near"):
        await until(http, name, state="live")
        shapes[name] = (await snapshot(http, name)).shape
    assert shapes["far"] == shapes["near"] == (160, 120, 3)


def test_a_stream_may_turn_and_change_its_size_at_any_picture(tmp_path: Path) -> None:
    plain = clips.pictures(clips.make(tmp_path / "plain.mp4", count=2))
    turned = clips.pictures(clips.make(tmp_path / "turned.mp4", count=2, rotation=90))
    small = clips.pictures(clips.make(tmp_path / "small.mp4", count=2, width=80, height=60))
    upright = StreamUpright()
    shown = [upright.turn(each) for each in (*plain, *turned, *small, *turned)]
    sizes = [(160, 120)] * 2 + [(120, 160)] * 2 + [(80, 60)] * 2 + [(120, 160)] * 2
    assert [(each.width, each.height) for each in shown] == sizes
    assert shown[0] is plain[0]
    assert [each.pts for each in shown[:4]] == [each.pts for each in (*plain, *turned)]

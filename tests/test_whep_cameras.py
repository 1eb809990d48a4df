"""WHEP of the server's cameras: the addresses, and viewers who come, watch and go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from camera_server import Http, add_camera, serving, square, state
from rtc_client import Scene, eventually
from rtsp_camera import HEIGHT, WIDTH
from test_webrtc import peers
from test_whep import viewers
from whip_client import FRAGMENT, SDP, Party

import stream.server.viewer
from stream.settings import Settings

TOKEN = "s3cret-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    settings = Settings(camera_files=True, token=TOKEN)
    async with serving(settings) as client:
        yield client


async def watch(http: Http, *kinds: str) -> Party:
    viewer = Party(watches=kinds or ("video",))
    await viewer.begin(http, "/whep/camera/film", **BEARER)
    await viewer.until(lambda: viewer.pictures)
    return viewer


async def test_a_camera_is_watched(http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.server.viewer, "CHECK_INTERVAL", 0.1)
    await add_camera(http, name="film", url=str(clip), effect="none")
    first, second = await watch(http), await watch(http, "video", "audio")
    await second.until(lambda: len(second.pictures) > 10)
    shown = second.pictures[-1]
    assert (shown.width, shown.height) == (WIDTH, HEIGHT)
    assert 0.05 < square(shown.to_ndarray(format="bgr24")).mean() < 0.2
    assert not second.sounds, "the film has none"
    assert second.location.startswith("/whep/camera/film/")
    assert len(viewers(http, "camera/film")) == 2
    async with http.get("/healthz") as response:
        assert (await response.json())["viewers"] == 2
    late = await http.patch(
        second.location,
        data="a=ice-ufrag:new0\r\na=ice-pwd:0123456789012345678901\r\n",
        headers={**FRAGMENT, **BEARER},
    )
    assert late.status == 422
    assert (await http.delete(second.location, headers=BEARER)).status == 200
    assert (await http.delete(second.location, headers=BEARER)).status == 404
    seen = len(first.arrivals["video"])
    await first.until(lambda: len(first.arrivals["video"]) > seen + 5)
    assert (await http.delete("/cameras/film")).status == 204
    await eventually(lambda: not peers(http)._watches)
    assert peers(http)._viewers == {}
    await first.close()
    await second.close()


async def test_the_addresses(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip))
    for method, path, headers, status in (
        ("POST", "/whep/camera/nobody", {**SDP, **BEARER}, 404),
        ("POST", "/whep/camera/film", SDP, 401),
        ("POST", "/whep/camera/film", {"Content-Type": "text/plain", **BEARER}, 415),
        ("POST", "/whep/camera/film", {**SDP, **BEARER}, 400),
        ("GET", "/whep/camera/film", BEARER, 405),
        ("OPTIONS", "/whep/camera/film", {}, 200),
        ("GET", "/whep/camera/film/viewer", BEARER, 405),
        ("OPTIONS", "/whep/camera/film/viewer", {}, 200),
        ("DELETE", "/whep/camera/film/viewer", BEARER, 404),
        ("DELETE", "/whep/camera/nobody/viewer", BEARER, 404),
        ("PATCH", "/whep/camera/film/viewer", {**FRAGMENT, **BEARER}, 404),
    ):
        async with http.request(method, path, headers=headers) as response:
            assert response.status == status, (method, path, await response.text())


async def test_no_session_takes_the_cameras_address(http: Http) -> None:
    publisher = Party(Scene())
    offer = (await publisher.offer())["sdp"]
    async with http.post("/whip?session=camera", data=offer, headers={**SDP, **BEARER}) as response:
        assert response.status == 400
        assert "/whep/camera" in await response.text()
    await publisher.close()


async def test_the_end_of_the_server_ends_viewers(clip: Path) -> None:
    settings = Settings(camera_files=True, token=TOKEN)
    async with serving(settings) as http:
        await add_camera(http, name="film", url=str(clip))
        viewer = await watch(http)
        assert (await state(http, "film"))["state"] == "live"
        async with asyncio.timeout(15):
            await http.close()
        assert peers(http)._watches == {}
        await viewer.close()

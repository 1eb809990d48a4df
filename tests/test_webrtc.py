"""Real peers over loopback: what comes back, what is told, what is left when they are gone."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiortc import RTCPeerConnection
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene, Tone, eventually

import stream.server.peer
from stream.egress.webrtc import AudioOutput
from stream.server.app import create_app
from stream.server.rtc import PEERS, Peers
from stream.settings import Settings

Http = TestClient[Any, Any]
GREEN = (0, 177, 64)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    app = create_app(Settings(), bright_supervisor())
    async with TestClient(TestServer(app)) as client:
        yield client


def peers(http: Http) -> Peers:
    return http.server.app[PEERS]  # type: ignore[attr-defined,no-any-return]


def pixel(picture: av.VideoFrame, x: float, y: float) -> Any:
    """The mean of a few pixels around a place that is given as a share of the picture."""
    rgb = picture.to_ndarray(format="rgb24").astype(int)
    column, row = int(x * picture.width), int(y * picture.height)
    return rgb[row - 2 : row + 3, column - 2 : column + 3].mean(axis=(0, 1))


def is_near(colour: Any, wanted: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour - np.array(wanted)).max() < 45)


async def test_click_comes_back_tinted_and_effects_change_the_rest(http: Http) -> None:
    client = Client(Scene(320, 240))
    await client.connect(http)  # type: ignore[arg-type]
    hello, state = client.messages[:2]
    assert hello["type"] == "hello"
    assert hello["session"] == client.session
    assert hello["model"] == "nano"
    assert "blur" in hello["effects"]
    assert state["objects"] == []
    assert state["effect"]["name"] == "overlay"
    picture = client.pictures[-1]
    assert (picture.width, picture.height) == (320, 240)

    answer = await client.ask(type="point", x=110, y=120, object=None)
    assert answer == {"type": "ok", "id": 1, "object": 1}
    state = await client.until(lambda: next((m for m in client.told("state") if m["objects"]), 0))
    assert state["objects"][0]["id"] == 1
    assert state["objects"][0]["visible"]
    assert 0.05 < state["objects"][0]["area"] < 0.3

    answer = await client.ask(type="effect", name="colour")
    assert answer["type"] == "ok"
    await client.until(lambda: is_near(pixel(client.pictures[-1], 0.05, 0.05), GREEN))
    # What was hidden before the first mask fades in.
    await client.until(lambda: is_near(pixel(client.pictures[-1], 0.45, 0.5), (230, 230, 60)))
    await client.ask(type="clear")
    await client.until(lambda: is_near(pixel(client.pictures[-1], 0.45, 0.5), GREEN))

    for request, code in [
        ({"type": "point", "x": 900, "y": 1}, "bad_prompt"),
        ({"type": "remove", "object": 9}, "unknown_object"),
        ({"type": "undo"}, "bad_input"),
        ({"type": "effect", "name": "sparkle"}, "bad_effect"),
        ({"type": "dance"}, "bad_input"),
    ]:
        answer = await client.ask(**request)
        assert (answer["type"], answer["code"]) == ("error", code)
    for text in ("no json", b"\x00\x01", "x" * 70_000):
        before = len(client.told("error"))
        client.channel.send(text)
        await client.until(lambda before=before: len(client.told("error")) > before)
    stats = await client.until(lambda: client.told("stats"))
    assert (stats[-1]["width"], stats[-1]["height"]) == (320, 240)
    assert set(stats[-1]["drops"]) == {"tracker", "compose", "egress"}
    seen = len(client.pictures)
    await client.until(lambda: len(client.pictures) > seen)
    await client.close()


async def test_size_follows_the_source(http: Http) -> None:
    scene = Scene(160, 120)
    client = Client(scene)
    await client.connect(http)  # type: ignore[arg-type]
    for size in ((322, 182), (120, 160)):
        scene.width, scene.height = size
        await client.until(
            lambda size=size: (client.pictures[-1].width, client.pictures[-1].height) == size
        )
    await client.close()


async def test_upload_becomes_the_background(http: Http) -> None:
    import cv2

    client = Client(Scene(160, 120))
    await client.connect(http)  # type: ignore[arg-type]
    red = np.zeros((60, 80, 3), np.uint8)
    red[..., 2] = 200
    response = await http.post(
        f"/sessions/{client.session}/background",
        data=cv2.imencode(".png", red)[1].tobytes(),
        headers={"Content-Type": "image/png"},
    )
    name = (await response.json())["background"]
    assert (await client.ask(type="effect", name="picture", background=name))["type"] == "ok"
    await client.until(lambda: is_near(pixel(client.pictures[-1], 0.1, 0.1), (200, 0, 0)))
    await client.close()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_h264_is_preferred_and_vp8_works(http: Http, codec: str) -> None:
    client = Client(Scene())
    offer = await client.offer()
    if codec == "VP8":
        offer["sdp"] = offer["sdp"].replace("H264/90000", "H265/90000")
    response = await http.post("/rtc", json=offer)
    answer = await response.json()
    assert answer["sdp"].split("a=rtpmap:")[1].split()[1] == f"{codec}/90000"
    await client.take(answer)
    await client.until(lambda: client.pictures)
    await client.close()


async def test_a_peer_that_only_sends_is_served(http: Http) -> None:
    client = Client(Scene())
    client.connection.getTransceivers()[0].direction = "sendonly"
    response = await http.post("/rtc", json=await client.offer())
    answer = await response.json()
    assert "a=recvonly" in answer["sdp"]
    await client.take(answer)
    await client.until(lambda: client.told("hello"))
    await client.ask(type="point", x=50, y=60, object=None)
    await client.until(lambda: client.told("stats") and client.told("stats")[-1]["fps_in"] > 0)
    assert not client.pictures
    await client.close()


async def test_sound_comes_back_after_the_delay_of_the_picture(http: Http) -> None:
    client = Client(Scene(), Tone())
    await client.connect(http)  # type: ignore[arg-type]
    await client.until(lambda: len(client.sounds) > 40)
    peer = peers(http)._peers[client.session]
    viewing = peer._viewing
    assert viewing is not None
    assert 0 < viewing.video.delay < 1
    loudness = [np.abs(sound.to_ndarray()).max() for sound in client.sounds]
    assert max(loudness) > 5_000, "the beep"
    assert min(loudness) < 500, "the silence between"
    assert viewing.audio.dropped == 0
    await client.close()


async def test_sound_is_held_back_as_long_as_pictures_take() -> None:
    delay = 0.0
    output = AudioOutput(lambda: delay)
    loop = asyncio.get_running_loop()
    for delay in (0.2, 0.1, 0.0):
        began = loop.time()
        output.receive(av.AudioFrame("s16", "mono", 960), began)
        async with asyncio.timeout(5):
            await output.recv()
        assert loop.time() - began >= delay - 0.005
    for _ in range(1000):
        output.receive(av.AudioFrame("s16", "mono", 960), loop.time())
    assert output.dropped >= 800
    output.stop()


async def test_sound_is_dropped_when_it_is_not_wanted_back(http: Http) -> None:
    client = Client(Scene(), Tone())
    client.connection.getTransceivers()[1].direction = "sendonly"
    await client.connect(http)  # type: ignore[arg-type]
    assert not client.sounds
    await client.close()


async def test_delete_ends_the_stream(http: Http) -> None:
    client = Client(Scene())
    await client.connect(http)  # type: ignore[arg-type]
    ended = asyncio.Event()
    client.connection.on("connectionstatechange", lambda: ended.set())
    assert (await http.delete(f"/rtc/{client.session}")).status == 204
    async with asyncio.timeout(10):
        await ended.wait()
    assert client.connection.connectionState == "closed"
    await client.close()


async def gone(http: Http) -> None:
    await eventually(lambda: len(peers(http)) == 0)


async def test_peers_that_never_connect_are_freed(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.peer, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(stream.server.peer, "STATS_INTERVAL", 0.05)
    client = Client(Scene())
    response = await http.post("/rtc", json=await client.offer())
    assert response.status == 200
    await gone(http)
    await client.close()


async def test_peers_that_send_no_picture_are_freed(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scene = Scene()
    client = Client(scene)
    await client.connect(http)  # type: ignore[arg-type]
    monkeypatch.setattr(stream.server.peer, "MEDIA_SILENCE", 0.3)
    scene.playing.clear()
    await gone(http)
    assert f"session {client.session}: ended" in caplog.text
    assert "no picture for 0.3 s" in caplog.text
    await client.close()


def vanish(connection: RTCPeerConnection) -> None:
    """Cut the peer off, as when its network is gone: nothing is said to the server."""
    for transport in connection._RTCPeerConnection__iceTransports:  # type: ignore[attr-defined]
        for protocol in transport._connection._protocols:
            protocol.transport.sendto = lambda *_: None
            protocol.datagram_received = lambda *_: None


async def test_vanished_peers_leave_nothing_behind(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.peer, "STATS_INTERVAL", 0.1)

    def threads() -> set[str]:
        """Without the default executor's, which stay and are bounded."""
        names = {thread.name for thread in threading.enumerate()}
        return {name for name in names if not name.startswith("asyncio")}

    async def connect() -> Client:
        client = Client(Scene(64, 48, rate=15))
        await client.connect(http)  # type: ignore[arg-type]
        await client.ask(type="point", x=25, y=24, object=None)
        return client

    async def round_trip(abrupt: bool) -> list[weakref.ref[object]]:
        clients = await asyncio.gather(*(connect() for _ in range(5)))
        sessions = [peers(http).session(client.session) for client in clients]
        assert len(peers(http)) == 5
        for client in clients:
            if abrupt:
                vanish(client.connection)
            else:
                await client.close()
        with monkeypatch.context() as patched:
            # Only now: while ten peers of one process connect, pictures may well stay away longer.
            patched.setattr(stream.server.peer, "MEDIA_SILENCE", 0.4)
            await gone(http)
        for client in clients:
            await client.close()
        return [weakref.ref(session) for session in sessions]

    await round_trip(abrupt=False)
    await asyncio.sleep(0.1)
    tasks, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
    before = threads()
    references = []
    for abrupt in (True, False, True, False):
        references += await round_trip(abrupt)

    def is_all_gone() -> bool:
        gc.collect()
        return not any(each() for each in references) and asyncio.all_tasks() <= tasks

    await eventually(is_all_gone)
    await eventually(lambda: threads() <= before)
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert not peers(http)._tracker._streams
    assert not peers(http)._watches


async def test_server_shutdown_ends_all_sessions() -> None:
    app = create_app(Settings(), bright_supervisor())
    async with TestClient(TestServer(app)) as http:
        client = Client(Scene())
        await client.connect(http)
        left = peers(http)
    assert len(left) == 0
    await client.until(lambda: client.connection.connectionState == "closed" or None, wait=10)
    await client.close()
    assert not {thread.name for thread in threading.enumerate()} & {"tracker", "video-decoder"}


async def test_the_embedded_model_tracks_through_it_all() -> None:
    async with TestClient(TestServer(create_app(Settings()))) as http:
        client = Client(Scene(320, 240, rate=15))
        await client.connect(http)
        answer = await client.ask(type="point", x=125, y=120, object=None)
        assert answer["object"] == 1
        await client.until(lambda: client.told("state")[-1]["objects"])
        area = client.told("state")[-1]["objects"][0]["area"]
        assert area == pytest.approx(80 * 80 / (320 * 240), rel=0.3)
        await client.ask(type="effect", name="colour")
        await client.until(lambda: is_near(pixel(client.pictures[-1], 0.9, 0.9), GREEN))
        # What was hidden before the first mask fades in.
        await client.until(lambda: is_near(pixel(client.pictures[-1], 0.4, 0.5), (230, 230, 60)))
        await client.close()

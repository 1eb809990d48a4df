"""WHEP: every request's answer, and viewers who come, watch and go."""

import asyncio
import gc
import os
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene, Tone, eventually
from test_webrtc import peers, vanish
from whip_client import FRAGMENT, SDP, Party

import stream.server.viewer
import stream.session
from stream.server.app import create_app
from stream.settings import Settings

Http = TestClient[Any, Any]
SDP_TYPE = SDP["Content-Type"]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with TestClient(TestServer(create_app(Settings(), bright_supervisor()))) as client:
        yield client


@pytest.fixture
async def publisher(http: Http) -> AsyncIterator[Party]:
    party = Party(Scene())
    await party.begin(http, "/whip?session=studio")
    yield party
    await party.close()


@pytest.fixture
async def sdp() -> AsyncIterator[str]:
    party = Party(watches=("video", "audio"))
    yield (await party.offer())["sdp"]
    await party.close()


def viewers(http: Http, session: str = "studio") -> dict[str, Any]:
    return peers(http)._viewers.get(session, {})


async def watch(http: Http, session: str = "studio") -> Party:
    viewer = Party(watches=("video",))
    await viewer.begin(http, f"/whep/{session}")
    await viewer.until(lambda: viewer.pictures)
    return viewer


COMPLIANCE: list[tuple[str, str, dict[str, str], str, int, dict[str, str]]] = [
    # method, path ("VIEWER": one who watches), headers, body, status, headers of the answer
    ("POST", "/whep/studio", SDP, "SDP", 201, {"Content-Type": SDP_TYPE}),
    ("POST", "/whep/nobody", SDP, "SDP", 404, {}),
    ("POST", "/whep/nobody", {}, "", 404, {}),
    ("POST", "/whep/studio", {"Content-Type": "text/plain"}, "SDP", 415, {"Accept-Post": SDP_TYPE}),
    ("POST", "/whep/studio", SDP, "", 400, {}),
    ("POST", "/whep/studio", SDP, "hello", 400, {}),
    ("POST", "/whep/studio", SDP, "v=0\r\nm=video", 400, {}),
    ("POST", "/whep/studio", SDP, "SENDONLY", 422, {}),
    ("GET", "/whep/studio", {}, "", 405, {"Allow": "OPTIONS,POST"}),
    ("PUT", "/whep/studio", SDP, "SDP", 405, {"Allow": "OPTIONS,POST"}),
    ("DELETE", "/whep/studio", {}, "", 405, {"Allow": "OPTIONS,POST"}),
    ("OPTIONS", "/whep/studio", {}, "", 200, {"Accept-Post": SDP_TYPE, "Allow": "POST, OPTIONS"}),
    ("GET", "/whep/VIEWER", {}, "", 405, {"Allow": "DELETE,OPTIONS,PATCH"}),
    ("POST", "/whep/VIEWER", SDP, "SDP", 405, {"Allow": "DELETE,OPTIONS,PATCH"}),
    ("OPTIONS", "/whep/VIEWER", {}, "", 200, {"Accept-Patch": FRAGMENT["Content-Type"]}),
    ("DELETE", "/whep/studio/nobody", {}, "", 404, {}),
    ("DELETE", "/whep/nobody/nobody", {}, "", 404, {}),
    ("PATCH", "/whep/studio/nobody", FRAGMENT, "a=ice-ufrag:x", 404, {}),
    ("PATCH", "/whep/VIEWER", SDP, "SDP", 415, {"Accept-Patch": FRAGMENT["Content-Type"]}),
    ("PATCH", "/whep/VIEWER", FRAGMENT, "nonsense", 400, {}),
    ("PATCH", "/whep/VIEWER", FRAGMENT, "a=ice-ufrag:new0", 422, {}),
    ("PATCH", "/whep/VIEWER", {**FRAGMENT, "If-Match": '"old"'}, "a=ice-ufrag:new0", 412, {}),
    ("PATCH", "/whep/VIEWER", FRAGMENT, "a=end-of-candidates", 204, {}),
    ("DELETE", "/whep/VIEWER", {}, "", 200, {}),
    ("GET", "/whep", {}, "", 404, {}),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "told"), COMPLIANCE)
async def test_each_request_has_its_answer(
    http: Http,
    publisher: Party,
    sdp: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str,
    status: int,
    told: dict[str, str],
) -> None:
    viewer = Party(watches=("video",))
    if "VIEWER" in path:
        await viewer.begin(http, "/whep/studio")
        path = path.replace("/whep/VIEWER", viewer.location)
    before = len(viewers(http))
    body = body.replace("SENDONLY", sdp.replace("a=recvonly", "a=sendonly"))
    data = (sdp if body == "SDP" else body).encode()
    response = await http.request(method, path, data=data, headers=headers)
    text = await response.text()
    assert response.status == status, text
    assert told.items() <= {key: response.headers.get(key) for key in told}.items()
    if status >= 400:
        assert (await response.json())["error"]["message"]
    has_ended = (method, status) == ("DELETE", 200)
    assert len(viewers(http)) - before == (1 if status == 201 else -1 if has_ended else 0)
    await viewer.close()


async def test_sound_is_inactive_where_there_is_none(
    http: Http, publisher: Party, sdp: str
) -> None:
    response = await http.post("/whep/studio", data=sdp, headers=SDP)
    answer = await response.text()
    video, audio = answer.split("m=")[1:]
    assert "a=sendonly" in video
    assert "a=inactive" in audio
    assert response.headers["Location"].startswith("/whep/studio/")
    assert "a=setup:passive" in answer


async def test_sessions_of_the_page_can_be_watched(http: Http) -> None:
    client = Client(Scene(), Tone())
    await client.connect(http)  # type: ignore[arg-type]
    viewer = Party(watches=("audio", "video"))
    await viewer.begin(http, f"/whep/{client.session}")
    await viewer.until(lambda: viewer.pictures and len(viewer.sounds) > 10)
    stats = await client.until(lambda: client.told("stats"))
    assert stats[-1]["fps_out"] > 0
    seen = len(client.pictures)
    await client.until(lambda: len(client.pictures) > seen + 5)
    await viewer.close()
    await client.close()


async def test_viewers_of_both_codecs_each_get_their_keyframe(http: Http, publisher: Party) -> None:
    """H264 of several viewers at once: one encoder must not take away another's keyframe."""
    parties = [Party(watches=("video",)) for _ in range(3)]
    for number, party in enumerate(parties):
        if number:
            (transceiver,) = party.connection.getTransceivers()
            codecs = [c for c in _codecs() if c.mimeType != "video/VP8"]
            transceiver.setCodecPreferences(codecs)
        await party.begin(http, "/whep/studio")
    for party in parties:
        await party.until(lambda party=party: len(party.pictures) > 5)
    for party in parties:
        await party.close()


def _codecs() -> list[Any]:
    from aiortc import RTCRtpReceiver

    return RTCRtpReceiver.getCapabilities("video").codecs


async def test_the_end_of_the_session_ends_its_viewers(http: Http, publisher: Party) -> None:
    viewer = await watch(http)
    assert (await http.delete("/whip/studio")).status == 200
    await eventually(lambda: viewer.connection.connectionState == "closed")
    await eventually(lambda: not peers(http)._watches)
    assert (await http.delete(viewer.location)).status == 404
    await viewer.close()


async def test_too_many_viewers_are_asked_to_come_back(
    http: Http, sdp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.session, "MAX_VIEWERS", 1)
    publisher = Party(Scene())
    await publisher.begin(http, "/whip?session=studio")
    response = await http.post("/whep/studio", data=sdp, headers=SDP)
    assert response.status == 201
    full = await http.post("/whep/studio", data=sdp, headers=SDP)
    assert full.status == 503
    assert int(full.headers["Retry-After"]) > 0
    await http.delete(response.headers["Location"])
    assert (await http.post("/whep/studio", data=sdp, headers=SDP)).status == 201
    await publisher.close()


async def test_viewers_that_vanish_are_freed(
    http: Http, publisher: Party, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(stream.server.viewer, "CHECK_INTERVAL", 0.1)
    gone, stays = await watch(http), await watch(http)
    monkeypatch.setattr(stream.server.viewer, "VIEWER_SILENCE", 4.0)
    vanish(gone.connection)
    await eventually(lambda: len(viewers(http)) == 1)
    assert stays.location.endswith(next(iter(viewers(http))))
    assert "no report for 4 s" in caplog.text
    # Who still reports stays: longer than the silence that ends a viewer.
    await asyncio.sleep(5)
    assert len(viewers(http)) == 1
    await gone.close()
    await stays.close()


async def test_viewers_that_never_connect_are_freed(
    http: Http, publisher: Party, sdp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.viewer, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(stream.server.viewer, "CONNECT_TIMEOUT", 0.2)
    assert (await http.post("/whep/studio", data=sdp, headers=SDP)).status == 201
    await eventually(lambda: not viewers(http))


async def test_viewers_that_come_and_go_leave_nothing_behind(http: Http, publisher: Party) -> None:
    session = peers(http).session("studio")

    async def visit(number: int) -> weakref.ref[Any]:
        viewer = await watch(http)
        reference = weakref.ref(next(iter(viewers(http).values())))
        if number % 2:
            assert (await http.delete(viewer.location)).status == 200
        await viewer.close()
        await eventually(lambda: not viewers(http))
        return reference

    await visit(0)
    await asyncio.sleep(0.1)
    tasks, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
    references = [await visit(number) for number in range(10)]

    def is_all_gone() -> bool:
        gc.collect()
        return not any(each() for each in references) and asyncio.all_tasks() <= tasks

    await eventually(is_all_gone)
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert len(session._viewers) == len(session.broadcast) == session._watching == 0
    assert set(peers(http)._watches) == {"studio"}


async def test_a_slow_viewer_slows_nobody(http: Http, publisher: Party) -> None:
    fast = await watch(http)
    session = peers(http).session("studio")
    slow = session.watch()
    seen = len(fast.pictures)
    await fast.until(lambda: len(fast.pictures) > seen + 30)
    assert slow.dropped > 20
    assert session._viewers.dropped >= slow.dropped
    await fast.close()

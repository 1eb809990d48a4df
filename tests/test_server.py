"""The HTTP side: what is answered, what is refused and how."""

import asyncio
import random
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene

import stream.server.http
import stream.server.rtc
from stream.compose import backgrounds
from stream.errors import ModelError, NoVideo, OfferError
from stream.limits import MAX_BACKGROUND, MAX_CODECS, MAX_SDP, MAX_SDP_LINES
from stream.server import offer, page
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.settings import Settings

Http = TestClient[Any, Any]


def png(width: int = 40, height: int = 30) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    app = create_app(Settings(hosts=("proxy.example",)), bright_supervisor())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def offered() -> AsyncIterator[dict[str, str]]:
    client = Client(Scene())
    yield await client.offer()
    await client.close()


async def refused(response: aiohttp.ClientResponse, status: int, code: str) -> str:
    body = await response.json()
    assert (response.status, body["error"]["code"]) == (status, code), body
    assert body["error"]["message"]
    return str(body["error"]["message"])


async def begin(http: Http, offered: dict[str, str]) -> str:
    response = await http.post("/rtc", json=offered)
    body = await response.json()
    assert response.status == 200, body
    assert body["type"] == "answer"
    return str(body["session"])


async def test_healthz_counts_sessions(http: Http, offered: dict[str, str]) -> None:
    async def health() -> Any:
        return await (await http.get("/healthz")).json()

    first = await health()
    assert first.pop("checks")["worker"] == "ok"
    assert first == {"status": "ok", "sessions": 0, "viewers": 0, "cameras": 0, "model": "nano"}
    id = await begin(http, offered)
    assert (await health())["sessions"] == 1
    assert (await http.delete(f"/rtc/{id}")).status == 204
    assert (await health())["sessions"] == 0
    await refused(await http.delete(f"/rtc/{id}"), 404, "not_found")


async def test_page_and_headers(http: Http) -> None:
    response = await http.get("/")
    assert response.status == 200
    assert response.content_type == "text/html"
    assert "segstream" in await response.text()
    for name in page.root().iterdir():
        if name.is_file():
            response = await http.get(f"/{name.name}")
            assert response.status == 200
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Permissions-Policy"].startswith("camera=(self)")
    assert (await http.get("/main.js")).content_type.endswith("javascript")
    for path in ("/nothing", "/../README.md", "/%2e%2e/README.md", "/..%2fREADME.md", "/%00"):
        response = await http.get(path)
        await refused(response, 404, "not_found")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_page_of_an_installed_package_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PACKAGE", tmp_path / "stream")
    assert page.root() == tmp_path / "client_web"
    (tmp_path / "stream" / "client_web").mkdir(parents=True)
    assert page.root() == tmp_path / "stream" / "client_web"


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"v=0", "application/sdp", 415, "bad_type"),
        (b"", "application/json", 400, "bad_offer"),
        (b"\xff\xfe", "application/json", 400, "bad_offer"),
        (b"[" * 100_000, "application/json", 400, "bad_offer"),
        (b"[]", "application/json", 400, "bad_offer"),
        (b'{"type":"answer","sdp":"v=0"}', "application/json", 400, "bad_offer"),
        (b'{"type":"offer"}', "application/json", 400, "bad_offer"),
        (b'{"type":"offer","sdp":7}', "application/json", 400, "bad_offer"),
        (b'{"type":"offer","sdp":"hello"}', "application/json", 422, "no_video"),
        (b'{"type":"offer","sdp":"m=video"}', "application/json", 400, "bad_offer"),
        (b'{"type":"offer","sdp":"\\ud800\\u0000"}', "application/json", 422, "no_video"),
        (b'{"type":"offer","sdp":"' + b"x" * MAX_SDP + b'"}', "application/json", 413, "limit"),
    ],
)
async def test_what_is_no_offer(http: Http, body: bytes, kind: str, status: int, code: str) -> None:
    response = await http.post("/rtc", data=body, headers={"Content-Type": kind})
    await refused(response, status, code)


async def test_offers_that_cannot_be_answered(http: Http, offered: dict[str, str]) -> None:
    async def post(sdp: str) -> aiohttp.ClientResponse:
        return await http.post("/rtc", json={"type": "offer", "sdp": sdp})

    sdp = offered["sdp"]
    head, video, data = (part for part in sdp.split("m="))
    audio = video.replace("video ", "audio ", 1)
    await refused(await post(f"{head}m={data}"), 422, "no_video")
    await refused(await post(sdp.replace("a=sendrecv", "a=recvonly", 1)), 422, "no_video")
    await refused(await post(sdp.replace("a=sendrecv", "a=inactive", 1)), 422, "no_video")
    two = f"{head}m={video}m={video}m={data}"
    assert "2 video sections" in await refused(await post(two), 400, "bad_offer")
    await refused(await post(f"{head}m={video}m={audio}m={audio}"), 400, "bad_offer")
    await refused(await post(sdp.replace("VP8", "VP7").replace("H264", "H263")), 400, "bad_offer")
    await refused(await post(sdp.replace("a=ice-pwd", "a=x")), 400, "bad_offer")
    for wrong, text in [
        (sdp.replace("a=setup:actpass", "a=x"), "a=setup"),
        (sdp.replace("a=fingerprint:", "a=x:"), "a=fingerprint"),
        (sdp.replace("a=sendrecv", "a=x"), "direction"),
        (sdp.replace("BUNDLE 0", "BUNDLE 7"), "BUNDLE"),
        (sdp.replace("a=mid:0", "a=x"), "a=mid"),
        (sdp.replace("a=mid:0", "a=mid:1"), "a=mid"),
        (sdp.replace("m=application", "m=text"), "text"),
    ]:
        assert wrong != sdp
        assert text in await refused(await post(wrong), 400, "bad_offer")
    candidate = next(line for line in sdp.splitlines(True) if line.startswith("a=candidate"))
    await refused(await post(sdp.replace(candidate, candidate * 100)), 400, "bad_offer")
    assert len(http.server.app[PEERS]) == 0  # type: ignore[attr-defined]


async def test_mutated_offers_are_answered_or_refused(http: Http, offered: dict[str, str]) -> None:
    chance = random.Random(8)
    readable = []
    for _ in range(400):
        lines = offered["sdp"].split("\r\n")
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(lines))
            line = lines[at]
            cut = chance.randrange(len(line) + 1)
            kind = chance.randrange(5)
            if kind == 0:
                del lines[at]
            elif kind == 1:
                lines.insert(at, line)
            elif kind == 2:
                lines[at] = line[:cut] + chr(chance.randrange(1, 0x300)) + line[cut + 1 :]
            elif kind == 3:
                lines[at] = line[:cut]
            else:
                lines[at] = line.replace(chance.choice("0123456789"), "99999999999")
        sdp = "\r\n".join(lines)
        try:
            readable.append(offer.read(sdp).sdp)
        except OfferError:
            continue
    assert len(readable) > 50
    for sdp in readable[:: len(readable) // 12]:
        response = await http.post("/rtc", json={"type": "offer", "sdp": sdp})
        body = await response.json()
        assert response.status in (200, 400), body
        if response.status == 200:
            await http.delete(f"/rtc/{body['session']}")


def test_long_offers_are_refused_before_they_cost_time() -> None:
    for sdp in (
        "x" * (MAX_SDP + 1),
        "a=ssrc:1 cname:x\r\n" * (MAX_SDP_LINES + 1),
        "a\u2028" * (MAX_SDP_LINES + 1),
        "a=rtpmap:96 VP8/90000\r\n" * (MAX_CODECS + 1),
    ):
        with pytest.raises(OfferError, match="at most"):
            offer.read(sdp)


async def test_no_room(
    http: Http, offered: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.rtc, "MAX_SESSIONS", 1)
    id = await begin(http, offered)
    await refused(await http.post("/rtc", json=offered), 503, "busy")
    await http.delete(f"/rtc/{id}")
    await begin(http, offered)


def test_candidates_behind_names_are_left_out() -> None:
    sdp = (
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=mid:0\r\n"
        "a=sendrecv\r\na=setup:actpass\r\na=fingerprint:sha-256 00:11\r\n"
        "a=candidate:1 1 udp 2113937151 1b2c.local 51000 typ host\r\n"
        "a=candidate:2 1 udp 2113937150 192.0.2.1 51001 typ host\r\na=end-of-candidates\r\n"
    )
    kept = offer.read(sdp).sdp
    assert ".local" not in kept
    assert "end-of-candidates" not in kept
    assert "192.0.2.1" in kept
    with pytest.raises(NoVideo):
        offer.read(kept.replace("video", "audio"))


async def test_pages_of_other_sites_are_refused(http: Http, offered: dict[str, str]) -> None:
    own = f"127.0.0.1:{http.port}"

    async def post(**headers: str) -> aiohttp.ClientResponse:
        return await http.post("/rtc", json=offered, headers=headers)

    await refused(await post(Origin="http://evil.example"), 403, "forbidden")
    await refused(await post(Origin="null"), 403, "forbidden")
    await refused(await post(Origin="http://localhost:1"), 403, "forbidden")
    await refused(
        await post(Host="evil.example:8080", Origin="http://evil.example:8080"), 403, "forbidden"
    )
    await refused(await http.get("/", headers={"Host": "evil.example"}), 403, "forbidden")
    for headers in (
        {"Origin": f"http://{own}"},
        {"Host": "localhost:8080", "Origin": "http://localhost:8080"},
        {"Host": "proxy.example", "Origin": "https://proxy.example"},
        {"Host": "[::1]:8080"},
    ):
        response = await post(**headers)
        assert response.status == 200, headers
        await http.delete(f"/rtc/{(await response.json())['session']}")


async def test_a_public_server_takes_any_name() -> None:
    app = create_app(Settings(host="0.0.0.0"), bright_supervisor())
    async with TestClient(TestServer(app)) as http:
        response = await http.get("/healthz", headers={"Host": "cam.example"})
        assert response.status == 200
        response = await http.post("/rtc", headers={"Host": "a.b", "Origin": "http://c.d"})
        await refused(response, 403, "forbidden")


async def test_backgrounds(http: Http) -> None:
    body = await (await http.get("/backgrounds")).json()
    assert body == {"backgrounds": list(backgrounds.names())}
    for name in body["backgrounds"]:
        response = await http.get(f"/backgrounds/{name}")
        assert response.content_type == "image/jpeg"
        assert (await response.read()).startswith(b"\xff\xd8")
    await refused(await http.get("/backgrounds/nothing"), 404, "not_found")
    await refused(await http.get("/backgrounds/..%2f..%2fpy.typed"), 404, "not_found")


async def test_uploads(http: Http, offered: dict[str, str]) -> None:
    async def post(body: object, kind: str, session: str | None = None) -> Any:
        return await http.post(
            f"/sessions/{session or id}/background", data=body, headers={"Content-Type": kind}
        )

    id = await begin(http, offered)
    first = await post(png(), "image/png")
    assert await first.json() == {"background": "upload-1"}
    second = await post(png(), "image/png; charset=binary")
    assert await second.json() == {"background": "upload-2"}
    await refused(await post(png(), "image/png", session="other"), 404, "not_found")
    await refused(await post(png(), "text/plain"), 415, "bad_type")
    await refused(await post(b"GIF89a", "image/png"), 422, "bad_media")
    await refused(await post(png()[:60], "image/png"), 422, "bad_media")
    await refused(await post(png(5000, 10), "image/png"), 413, "limit")
    await refused(await post(BytesIO(bytes(MAX_BACKGROUND + 1)), "image/png"), 413, "limit")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"\x89" * 100_000

    await refused(await post(endless(), "image/png"), 413, "limit")


async def test_a_body_that_never_ends(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.server.http, "BODY_TIMEOUT", 0.1)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    response = await http.post("/rtc", data=slow(), headers={"Content-Type": "application/json"})
    await refused(response, 408, "timeout")


async def test_unexpected_errors_are_logged_not_shown(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> tuple[str, ...]:
        raise RuntimeError("secret")

    monkeypatch.setattr(backgrounds, "names", broken)
    assert "secret" not in await refused(await http.get("/backgrounds"), 500, "error")
    assert "secret" in caplog.text
    await refused(await http.post("/healthz"), 405, "bad_method")


async def test_an_unknown_model_is_told_at_the_start() -> None:
    server = TestServer(create_app(Settings(model="no such model")))
    with pytest.raises(ModelError, match="no such model"):
        await server.start_server()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_the_process_ends_cleanly_with_a_live_session(stop: signal.Signals) -> None:
    code = (
        "from stream.server.app import run; from stream.settings import Settings; "
        "run(Settings(port=0, drain_seconds=0))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", code, stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
        base = re.search(rb"http://127.0.0.1:[0-9]+", line)
        assert base is not None, line
        client = Client(Scene())
        async with aiohttp.ClientSession() as http:
            await client.connect(http, base[0].decode())
            process.send_signal(stop)
            output, _ = await process.communicate()
    await client.close()
    assert process.returncode == 0
    assert b"Traceback" not in output, output.decode()
    assert f"session {client.session}: ended".encode() in output
    assert b"server stops" in output

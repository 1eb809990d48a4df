"""Targets of strangers are connected to where they were looked at, whatever their names say next.

Here 127.0.0.2 stands for the public address that a name had when it was looked up, and 127.0.0.1,
where `localhost` leads whoever looks it up again, for what nobody may reach.
"""

import asyncio
import datetime
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from receiver_process import Process
from rtc_client import Scene, eventually
from rtsp_camera import Camera
from test_session_keys import Http, bearer, served
from test_writer import encoded
from whip_client import Party

from stream.child import Child
from stream.egress import pinned, target
from stream.egress.writer_messages import MAX_LINE, Open, Picture, encode
from stream.server import publications
from stream.server.gate import GATE

CHECKED, ELSEWHERE = "127.0.0.2", "127.0.0.1"
WAIT = 40.0
PATH = "/sessions/studio/publications"

Taker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def listening(take: Taker, **more: Any) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port of CHECKED, and what came to the same port of ELSEWHERE."""
    astray: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        astray.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(take, CHECKED, 0, **more)
    port = server.sockets[0].getsockname()[1]
    async with server, await asyncio.start_server(trap, ELSEWHERE, port):
        yield port, astray


@asynccontextmanager
async def studio(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Http, dict[str, str]]]:
    """A session that was begun with a key, on a server that finds `localhost` at CHECKED."""

    async def first_answer(host: str) -> list[str]:
        assert host == "localhost"
        return [CHECKED]

    monkeypatch.setattr(publications, "look_up", first_answer)
    async with served(folder, session_keys="all", fetch_allow=(CHECKED,)) as http:
        stranger = bearer(http.app[GATE].keys.create("k"))
        party = Party(Scene())
        try:
            await party.begin(http, "/whip?session=studio", **stranger)
            yield http, stranger
        finally:
            await party.close()


async def publish(http: Http, url: str, headers: dict[str, str]) -> None:
    answer = await http.post(PATH, json={"url": url}, headers=headers)
    assert answer.status == 201, await answer.text()


async def until_live(http: Http, headers: dict[str, str]) -> None:
    for _ in range(int(WAIT / 0.05)):
        [found] = (await (await http.get(PATH, headers=headers)).json())["publications"]
        if found["state"] == "live" and found["sent"] > 5:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()


def forwarding(host: str, port: int) -> Taker:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection(host, port)
        ways = pass_on(reader, there), pass_on(back, writer)
        await asyncio.gather(*ways, return_exceptions=True)

    return take


def certificate(folder: Path) -> ssl.SSLContext:
    """Of a server at `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_rtmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    receiver = Process("stream_receiver.py", f"rtmp://127.0.0.3:{port}/live/key", str(tmp_path))
    try:
        await eventually(receiver.read)
        async with (
            listening(forwarding("127.0.0.3", port)) as (at, astray),
            studio(tmp_path, monkeypatch) as (http, stranger),
        ):
            await publish(http, f"rtmp://localhost:{at}/live/key", stranger)
            await until_live(http, stranger)
            await eventually(lambda: len(receiver.read()) > 5, WAIT)
            assert not astray
    finally:
        receiver.kill()


async def test_rtsp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Camera) -> None:
    async with (
        listening(forwarding("127.0.0.1", recorder.port)) as (at, astray),
        studio(tmp_path / "data", monkeypatch) as (http, stranger),
    ):
        await publish(http, f"rtsp://localhost:{at}/record", stranger)
        await until_live(http, stranger)
        assert not astray


@pytest.mark.parametrize("scheme", ["rtmps", "RTSPS"])
async def test_tls_still_names_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Camera, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    named: list[str | None] = []
    context = certificate(tmp_path)
    context.sni_callback = lambda _, name, __: named.append(name)
    port, path = (free_port(), "live/key") if scheme == "rtmps" else (recorder.port, "record")
    host = "127.0.0.3" if scheme == "rtmps" else "127.0.0.1"
    receiver = Process("stream_receiver.py", f"rtmp://{host}:{port}/{path}", str(tmp_path))
    try:
        await eventually(receiver.read)
        async with (
            listening(forwarding(host, port), ssl=context) as (at, astray),
            studio(tmp_path / "data", monkeypatch) as (http, stranger),
        ):
            await publish(http, f"{scheme}://localhost:{at}/{path}", stranger)
            await until_live(http, stranger)
            assert set(named) == {"localhost"}
            assert not astray
    finally:
        receiver.kill()


async def test_srt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as right,
        socket.socket(type=socket.SOCK_DGRAM) as wrong,
    ):
        right.bind((CHECKED, 0))
        wrong.bind((ELSEWHERE, right.getsockname()[1]))
        right.setblocking(False)
        wrong.setblocking(False)
        async with studio(tmp_path, monkeypatch) as (http, stranger):
            port = right.getsockname()[1]
            await publish(http, f"srt://localhost:{port}?streamid=a&latency=80", stranger)
            async with asyncio.timeout(WAIT):
                await asyncio.get_running_loop().sock_recv(right, 2000)
            with pytest.raises(BlockingIOError):
                wrong.recv(2000)


async def test_a_name_that_nobody_knows_is_not_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be known a moment later."""
    async with studio(tmp_path, monkeypatch) as (http, stranger):

        async def nothing(host: str) -> list[str]:
            return []

        monkeypatch.setattr(publications, "look_up", nothing)
        server = await asyncio.start_server(lambda *_: pytest.fail("connected"), ELSEWHERE, 0)
        async with server:
            at = server.sockets[0].getsockname()[1]
            await publish(http, f"rtmp://localhost:{at}/live/key", stranger)
            for _ in range(int(WAIT / 0.05)):
                [found] = (await (await http.get(PATH, headers=stranger)).json())["publications"]
                if found["failure"]:
                    break
                await asyncio.sleep(0.05)
            assert (found["failure"], found["sent"]) == ("unreachable", 0)
            assert "name is not known" in found["reason"]


END = b"\x00\x00\x09"
"""Of an object in AMF 0."""


async def tcurl_of(order: Open) -> tuple[str, str]:
    """The app and the tcUrl that FFmpeg tells a server of RTMP."""
    said = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1537)  # RTMP 1.0, 5.2
        writer.write(b"\x03" + bytes(8) + bytes(1528) + first[1:])
        await reader.readexactly(1536)
        while data := await reader.read(4096):
            said.extend(data)
        writer.close()

    url = order.url
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        port = str(server.sockets[0].getsockname()[1])
        child = await Child.start("stream.egress.writer", max_line=MAX_LINE)
        [made] = encoded([(64, 48)])
        child.write(encode(Open(url.replace("PORT", port), order.kind)))
        child.write(encode(Picture(len(made.data), 0, True)) + made.data)
        await eventually(lambda: b"tcUrl" in said and said.endswith(END), WAIT)
        await child.kill()
    # Chunks of 128 bytes have a byte in front of each but the first.
    text = re.sub(rb"\xc3", b"", bytes(said))
    found = {}
    for name in (b"app", b"tcUrl"):
        at = text.index(name + b"\x02") + len(name) + 1
        length = int.from_bytes(text[at : at + 2])
        found[name] = text[at + 2 : at + 2 + length].decode().replace(port, "PORT")
    return found[b"app"], found[b"tcUrl"]


@pytest.mark.parametrize(
    "path",
    [
        "live/key",
        "app/inst/key",
        "app/mp4:dir/key",
        "app",
        "live/key?a=b",
        "live/a/b/c?x=/y",
        "live/",
    ],
)
async def test_rtmp_is_told_the_url_that_ffmpeg_would_tell(path: str) -> None:
    url = f"rtmp://user:word@localhost:PORT/{path}"
    _, wanted = await tcurl_of(Open(url, target.Kind.RTMP))
    given = target.read(url.replace("PORT", "1234"), files=False)
    async with pinned.route(given, CHECKED) as route:
        assert route.url == f"rtmp://user:word@{CHECKED}:1234/{path}"
        assert route.tcurl is not None
        assert route.tcurl.replace("1234", "PORT") == wanted


@pytest.mark.parametrize(
    ("url", "address", "wanted"),
    [
        ("rtsp://a:b@h/x?y#z", "10.0.0.1", pinned.Route("rtsp://a:b@10.0.0.1/x?y#z")),
        ("RTSP://a@b@h:1/x", "fd00::1", pinned.Route("rtsp://a@b@[fd00::1]:1/x")),
        ("srt://h:9?streamid=a%26b", "fd00::1", pinned.Route("srt://[fd00::1]:9?streamid=a%26b")),
        (
            "rtmp://H/live/k", "10.0.0.1",
            pinned.Route("rtmp://10.0.0.1/live/k", "rtmp://h:1935/live"),
        ),
        (
            "rtmp://[fd00::2]/live/k", "fd00::2",
            pinned.Route("rtmp://[fd00::2]/live/k", "rtmp://[fd00::2]:1935/live"),
        ),
    ],
)  # fmt: skip
async def test_ways(url: str, address: str, wanted: pinned.Route) -> None:
    async with pinned.route(target.read(url, files=False), address) as route:
        assert route == wanted


async def test_a_tunnel_is_bounded_ends_and_leads_to_its_address_only() -> None:
    came: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readexactly(5))
        writer.write(b"hello")
        came.append(await reader.read())
        writer.close()

    async with listening(take) as (port, astray):
        async with pinned.Tunnel(CHECKED, port) as tunnel:
            idle = [
                await asyncio.open_connection("127.0.0.1", tunnel.port)
                for _ in range(pinned.MAX_CLIENTS - 1)
            ]
            reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.port)
            writer.write(f"CONNECT {ELSEWHERE}:{port} HTTP/1.1\r\n\r\nfirst".encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\n\r\n"
            assert await reader.readexactly(5) == b"hello"
            more, closing = await asyncio.open_connection("127.0.0.1", tunnel.port)
            async with asyncio.timeout(5):
                assert await more.read() == b"", "one too many"
            writer.write(b"last")
            writer.close()
        assert came == [b"first", b"last"]
        assert not astray
        async with asyncio.timeout(5):
            for waiting, _ in idle:
                assert await waiting.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", tunnel.port)
        for _, one in (*idle, (more, closing)):
            one.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.3", 0))
        return int(probe.getsockname()[1])

"""URLs from strangers: none may reach a server on this machine, which stands for a private one."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from stream.errors import InputError, LimitError, MediaError, SegstreamError
from stream.server import fetch as module
from stream.server.addresses import Allowed
from stream.server.fetch import fetch

VIDEO = b"a video" * 1000


class Canary:
    """A web server. paths: that it was asked for."""

    def __init__(self, server: TestServer, port: int) -> None:
        self.server, self.port, self.paths = server, port, list[str]()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async def answer(request: web.Request) -> web.StreamResponse:
        here.paths.append(request.path_qs)
        if request.path == "/to":
            raise web.HTTPFound(request.query["url"])
        if request.path == "/loop":
            raise web.HTTPFound("/loop")
        if request.path == "/missing":
            raise web.HTTPNotFound
        if request.path == "/slow":
            await asyncio.sleep(5)
        if request.path == "/endless":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(100):
                await response.write(bytes(10_000))
            return response
        return web.Response(body=VIDEO)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    assert server.port is not None
    here = Canary(server, server.port)
    yield here
    await server.close()


class Names(AbstractResolver):
    """A name's answers, one after the other; the last stays."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = answers

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = self._answers[host.partition(".")[0]]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


PRIVATE = [
    "HTTP://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fd00:ec2::254]/latest/meta-data",
    "http://0.0.0.0:{port}/",
    "http://[::]:{port}/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.100.100.200/latest/meta-data",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
]
"""Refused as addresses, whoever listens there."""

ODD = [
    "http://localhost.:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://0:{port}/",
]
"""More ways to write some of them; which are names or addresses at all is for libraries to say."""

NO_URLS = [
    "file:///etc/passwd",
    "/etc/passwd",
    "../../etc/passwd",
    "concat:http://127.0.0.1:{port}/|http://127.0.0.1:{port}/",
    "subfile:,start,0,end,9,,:http://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "ftp://127.0.0.1:{port}/",
    "crypto:http://127.0.0.1:{port}/",
    "hls+http://127.0.0.1:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http:///127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://",
    "",
    "data:text/html,hello",
    "data:image/png;base64,AAAA",
    "data:application/vnd.apple.mpegurl;base64,AAAA",
    "data:video/mp4;base64,§",
    "data:video/mp4",
    "data:,x",
]
"""Refused as they are written."""


class Ear:
    """Listens at `port` of each of `hosts`, and counts who connects, whatever they say then."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.port = self.heard = 0

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += 1
        writer.close()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    made = Ear()
    async with contextlib.AsyncExitStack() as stack:
        for host in ("127.0.0.1", "::1"):
            try:
                server = await asyncio.start_server(made, host, made.port)
            except OSError:
                assert made.hosts  # a machine without IPv6
                continue
            await stack.enter_async_context(server)
            made.hosts.append(host)
            made.port = server.sockets[0].getsockname()[1]
        yield made


@pytest.mark.parametrize(
    ("why", "url"),
    [
        *(("is at an address that is not public", url) for url in PRIVATE),
        *(("not public|names no host that may be asked|no such name", url) for url in ODD),
        *(("the video's URL|the data: URL", url) for url in NO_URLS),
    ],
)
async def test_forbidden(ear: Ear, tmp_path: Path, why: str, url: str) -> None:
    with pytest.raises((InputError, MediaError), match=why):
        await fetch(url.replace("{port}", str(ear.port)), tmp_path / "video", Allowed())
    await asyncio.sleep(0.05)  # for who has connected to be noticed
    assert ear.heard == 0
    assert not (tmp_path / "video").exists()


async def test_the_ear_hears(ear: Ear, tmp_path: Path) -> None:
    """Or nothing above would say anything: where the operator allows it, they do connect."""
    allowed = Allowed(["127.0.0.0/8", "::1"])
    for host in ear.hosts:
        before, name = ear.heard, f"[{host}]" if ":" in host else host
        with pytest.raises(MediaError, match="cannot be fetched"):
            await fetch(f"http://{name}:{ear.port}/", tmp_path / "video", allowed)
        assert ear.heard > before


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0"]
)
async def test_a_public_name_of_a_private_address(
    canary: Canary, tmp_path: Path, address: str
) -> None:
    names = Names(evil=[address])
    with pytest.raises(InputError, match="not public") as refusal:
        await fetch(f"http://evil.test:{canary.port}/", tmp_path / "v", Allowed(), names)
    assert address not in str(refusal.value)
    assert canary.paths == []


async def test_redirects_and_names_that_change(canary: Canary, tmp_path: Path) -> None:
    """The first answer is allowed by name, so that the canary itself may redirect."""
    allowed = Allowed(["good.test"])
    for inside in (
        f"http://127.0.0.1:{canary.port}/secret",
        f"http://evil.test:{canary.port}/secret",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "data:video/mp4;base64,AAAA",
    ):
        names = Names(good=["127.0.0.1"], evil=["127.0.0.1"])
        url = f"http://good.test:{canary.port}/to?url={inside}"
        with pytest.raises(InputError):
            await fetch(url, tmp_path / "v", allowed, names)
    assert not any("secret" in path and path.startswith("/secret") for path in canary.paths)
    # The same name: public when somebody asked before, private when it is connected to.
    canary.paths.clear()
    changing = Names(turn=["93.184.216.34", "127.0.0.1"])
    await changing.resolve("turn.test")
    with pytest.raises(InputError):
        await fetch(f"http://turn.test:{canary.port}/", tmp_path / "v", Allowed(), changing)
    assert canary.paths == []
    with pytest.raises(MediaError, match="redirects"):
        await fetch(
            f"http://good.test:{canary.port}/loop",
            tmp_path / "v",
            allowed,
            Names(good=["127.0.0.1"]),
        )


@pytest.mark.parametrize("allow", ["127.0.0.0/8", "127.0.0.1", "video.test"])
async def test_what_the_operator_allows(canary: Canary, tmp_path: Path, allow: str) -> None:
    url = f"http://video.test:{canary.port}/to?url=/clip.mp4"
    await fetch(url, tmp_path / "v", Allowed([allow]), Names(video=["127.0.0.1"]))
    assert (tmp_path / "v").read_bytes() == VIDEO


async def test_limits(canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed, base = Allowed(["127.0.0.1"]), f"http://127.0.0.1:{canary.port}"

    async def refused(path: str, kind: type[SegstreamError], **more: Any) -> None:
        with pytest.raises(kind):
            await fetch(base + path, tmp_path / "v", allowed, **more)

    await refused("/", LimitError, limit=len(VIDEO) - 1)
    await refused("/endless", LimitError, limit=50_000)
    await refused("/missing", MediaError)
    monkeypatch.setattr(module, "FETCH_TIMEOUT", 0.2)
    await refused("/slow", LimitError)
    monkeypatch.setattr(module, "FETCH_TIMEOUT", 20)
    monkeypatch.setattr(module, "FETCH_SILENCE", 0.2)
    await refused("/slow", SegstreamError)
    with pytest.raises(MediaError):
        await fetch("http://nothing.invalid/", tmp_path / "v", allowed)
    with pytest.raises(InputError):
        await fetch("http://x/" + "a" * 9000, tmp_path / "v", allowed)


async def test_data_urls(tmp_path: Path) -> None:
    coded = base64.b64encode(VIDEO).decode()
    target = tmp_path / "v"
    for url in (f"data:video/mp4;base64,{coded}", f"DATA:Video/WebM;codecs=vp9;BASE64,{coded}"):
        await fetch(url, target, Allowed())
        assert target.read_bytes() == VIDEO
    for limit in (len(VIDEO) - 1, 100):
        with pytest.raises(LimitError):
            await fetch(f"data:video/mp4;base64,{coded}", target, Allowed(), limit=limit)


@pytest.mark.parametrize("wrong", ["10.0.0.0/99", "a/b"])
def test_a_bad_allow_list_is_named(wrong: str) -> None:
    with pytest.raises(InputError, match="FETCH_ALLOW"):
        Allowed([wrong])


def test_public_addresses() -> None:
    allowed = Allowed()
    assert all(map(allowed.address, ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")))
    assert not any(
        map(allowed.address, ("198.51.100.1", "2001:db8::1", "ff02::1", "x", "fe80::1%lo"))
    )

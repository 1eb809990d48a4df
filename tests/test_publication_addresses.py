"""Who has a key only makes the server publish to public addresses, and where the operator says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rtc_client import Scene
from session_stage import Stage
from test_session_keys import Http, bearer, served
from whip_client import Party

from stream.egress import target
from stream.egress.publication import Failure
from stream.egress.publisher import Refused
from stream.network import Network
from stream.server import publications
from stream.server.addresses import ANYWHERE, Allowed
from stream.server.gate import GATE


@asynccontextmanager
async def canary() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that nobody may reach, and what came there all the same."""
    seen: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(b"connected")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


@asynccontextmanager
async def studio(folder: Path) -> AsyncIterator[tuple[Http, dict[str, str]]]:
    """A server with a session `studio`, and the headers of who began it."""
    async with served(folder, session_keys="all", token="operators-token") as http:
        stranger = bearer(http.app[GATE].keys.create("k"))
        party = Party(Scene())
        try:
            await party.begin(http, "/whip?session=studio", **stranger)
            yield http, stranger
        finally:
            await party.close()


async def publish(http: Http, url: str, headers: dict[str, str]) -> dict[str, Any]:
    """The publication's state once it has failed or is tried again."""
    path = "/sessions/studio/publications"
    answer = await http.post(path, json={"url": url}, headers=headers)
    assert answer.status == 201, await answer.text()
    id = (await answer.json())["id"]
    for _ in range(400):
        states = (await (await http.get(path, headers=headers)).json())["publications"]
        [state] = [state for state in states if state["id"] == id]
        if state["failure"] is not None:
            assert (await http.delete(f"{path}/{id}", headers=headers)).status == 204
            found: dict[str, Any] = state
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("neither published nor refused")


TARGETS = (
    "http://127.0.0.1:{port}/whip",
    "http://127.1:{port}/whip",
    "http://localhost:{port}/whip",
    "http://[::ffff:127.0.0.1]:{port}/whip",
    "rtsp://127.0.0.1:{port}/live",
    "rtmp://0.0.0.0:{port}/live/key",
)


async def test_a_key_reaches_no_inner_address(tmp_path: Path) -> None:
    async with canary() as (port, seen), studio(tmp_path) as (http, stranger):
        for url in TARGETS:
            state = await publish(http, url.format(port=port), stranger)
            # aiohttp asks for no address that is written like this.
            failure = "unreachable" if "127.1:" in url else "forbidden"
            assert state["failure"] == failure, url
        assert not seen
        for url in TARGETS:
            state = await publish(http, url.format(port=port), bearer("operators-token"))
            assert state["failure"] != "forbidden"
            # The canary sings where it can be reached.
            assert bool(seen) == ("127.1:" not in url), url
            seen.clear()


async def test_which_hosts_may_be_reached() -> None:
    found = publications.find
    assert await found("93.184.215.14", Allowed()) == ["93.184.215.14"]
    assert await found("127.0.0.1", Allowed(("127.0.0.0/8",))) == ["127.0.0.1"]
    assert "127.0.0.1" in await found("localhost", Allowed(("127.0.0.0/8", "::1")))
    for host, allowed, failure in (
        ("localhost", Allowed(), Failure.FORBIDDEN),
        ("127.1", Allowed(), Failure.FORBIDDEN),
        ("0x7f000001", Allowed(), Failure.FORBIDDEN),
        ("169.254.169.254", Allowed(("127.0.0.0/8",)), Failure.FORBIDDEN),
        ("no-such-host.invalid", Allowed(), Failure.UNREACHABLE),
    ):
        with pytest.raises(Refused) as refused:
            await found(host, allowed)
        assert refused.value.failure is failure, host


async def test_whoever_the_operator_trusts_is_asked_by_name(stage: Stage) -> None:
    """Then FFmpeg connects as it does for the operator."""
    rtsp = target.read("rtsp://Media.internal/live", files=False)
    made = publications.Publications("studio", stage.session, Network())
    named = Allowed(("media.internal",))
    assert [
        made._carrier(rtsp, allowed)._look_up is None  # type: ignore[attr-defined]
        for allowed in (ANYWHERE, named, Allowed())
    ] == [True, True, False]

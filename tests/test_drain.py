"""Ending gently, with the real process: what is refused, what goes on, and how it ends."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from rtc_client import Client, Scene

from stream.errors import Busy
from stream.server.drain import POLL, Drain


async def test_it_waits_for_all_that_runs() -> None:
    drain, ended = Drain(20), asyncio.Event()
    counts = {"sessions": 1, "jobs": 2}
    drain.wait_for("sessions", lambda: counts["sessions"])
    drain.wait_for("jobs", lambda: counts["jobs"])
    drain.check()
    drain.begin(ended.set)
    with pytest.raises(Busy, match="ends") as refused:
        drain.check()
    assert refused.value.retry_after == 20
    counts["sessions"] = 0
    await asyncio.sleep(0.3)
    assert drain.running() == {"jobs": 2}
    assert not ended.is_set()
    counts["jobs"] = 0
    await asyncio.wait_for(ended.wait(), 10)


@pytest.mark.parametrize("again", [Drain.begin, Drain.at_once])
async def test_it_ends_once_whatever_is_told(again: Callable[[Drain, Callable[[], None]], None]):
    """What runs ends while the server cleans up; a second end then would break that off."""
    ends: list[str] = []
    drain, counts = Drain(20), [1]
    drain.wait_for("sessions", lambda: counts[0])
    drain.begin(lambda: ends.append("first"))
    await asyncio.sleep(0)
    again(drain, lambda: ends.append("second"))
    assert ends == ["second"]
    counts[0] = 0
    drain.begin(lambda: ends.append("third"))
    await asyncio.sleep(3 * POLL)
    assert ends == ["second"]


async def test_it_ends_when_the_time_is_over_or_when_told_twice() -> None:
    for seconds, times in ((0.1, 1), (1000, 2)):
        drain, ended = Drain(seconds), asyncio.Event()
        drain.wait_for("sessions", lambda: 1)
        for _ in range(times):
            drain.begin(ended.set)
        await asyncio.wait_for(ended.wait(), 10)
        assert drain._task is not None
        drain._task.cancel()
        await asyncio.gather(drain._task, return_exceptions=True)


class Server:
    """A server's process that logs JSON lines; `lines`: what it has logged until now."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.base = ""
        self.http = aiohttp.ClientSession()

    async def until(self, pattern: str) -> re.Match[str]:
        """The next line with such a message."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))
            if found := re.search(pattern, self.lines[-1]["message"]):
                return found
        raise AssertionError(f"{pattern} was not logged: {self.lines}")

    async def ends(self) -> int:
        output, errors = await self.process.communicate()
        assert output == b""
        self.lines += [json.loads(line) for line in errors.splitlines()]
        assert not [line for line in self.lines if "error" in line], self.lines
        assert self.process.returncode is not None
        return self.process.returncode

    def messages(self) -> str:
        return "\n".join(line["message"] for line in self.lines)


@asynccontextmanager
async def serving(drain: float) -> AsyncIterator[tuple[Server, Client]]:
    """With a live session."""
    options = ["--port", "0", "--log-format", "json", "--drain-seconds", str(drain)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream", "serve", *options, stdout=PIPE, stderr=PIPE
    )
    server, client = Server(process), Client(Scene())
    try:
        async with asyncio.timeout(90):
            server.base = (await server.until(r"http://127\.0\.0\.1:\d+"))[0]
            await client.connect(server.http, server.base)
            yield server, client
    finally:
        await client.close()
        await server.http.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_session_may_go_on_and_nothing_new_begins() -> None:
    async with serving(drain=80) as (server, client):
        async with server.http.get(f"{server.base}/readyz") as response:
            assert response.status == 200
        server.process.send_signal(signal.SIGTERM)
        await server.until("draining for 80 s at most; sessions: 1")
        async with server.http.get(f"{server.base}/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ready": False, "reason": "draining"}
        async with server.http.get(f"{server.base}/healthz") as response:
            assert response.status == 200
        other = Client(Scene())
        async with server.http.post(f"{server.base}/rtc", json=await other.offer()) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "80"
            assert (await response.json())["error"]["code"] == "busy"
        await other.close()
        before = len(client.arrivals["video"])
        await client.until(lambda: len(client.arrivals["video"]) > before + 10)
        await client.ask(type="point", x=80, y=60, positive=True)
        await client.until(lambda: any(s["fps_tracker"] > 0 for s in client.told("stats")))
        assert server.process.returncode is None
        async with server.http.delete(f"{server.base}/rtc/{client.session}") as response:
            assert response.status == 204
        assert await server.ends() == 0
        assert "nothing runs any more" in server.messages()
        about = {line["message"].split(":")[-1].split(" ")[1]: line for line in server.lines}
        assert about["started"]["session"] == about["ended"]["session"] == client.session


async def test_the_time_of_a_session_is_over() -> None:
    async with serving(drain=0.5) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        assert await server.ends() == 0
        assert "not in time; sessions: 1" in server.messages()
        assert "server stops" in server.messages()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once(second: signal.Signals) -> None:
    async with serving(drain=3600) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        await server.until("draining")
        server.process.send_signal(second)
        assert await server.ends() == 0
        assert "server stops" in server.messages()

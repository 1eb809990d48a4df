"""/healthz and /readyz: what makes a server unwell, and what not yet ready."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import BrightEngine, ThreadWorker
from rtc_client import eventually

import stream.server.health
from stream.server import health
from stream.server.app import create_app
from stream.server.drain import DRAIN
from stream.settings import Settings
from stream.worker.health import State, WorkerHealth
from stream.worker.supervisor import Supervisor

Http = TestClient[Any, Any]


class Bench:
    """A server whose worker can be killed, and whose next one can be held back."""

    def __init__(self, max_restarts: int = 5) -> None:
        self.workers: list[ThreadWorker] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.supervisor = Supervisor(self._load, launch=self._launch, max_restarts=max_restarts)

    def _load(self) -> BrightEngine:
        assert self.may_start.wait(20)
        return BrightEngine()

    def _launch(self, *arguments: Any) -> ThreadWorker:
        self.workers.append(ThreadWorker(*arguments))
        return self.workers[-1]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.may_start.set()


def serve(bench: Bench) -> Http:
    return TestClient(TestServer(create_app(Settings(), bench.supervisor)))


async def ask(http: Http, path: str) -> tuple[int, Any]:
    response = await http.get(path)
    return response.status, await response.json()


async def test_all_is_well(bench: Bench) -> None:
    async with serve(bench) as http:
        status, body = await ask(http, "/healthz")
        assert (status, body["status"]) == (200, "ok")
        assert body["checks"] == {"worker": "ok", "compositor": "ok", "data": "ok"}
        assert await ask(http, "/readyz") == (200, {"ready": True})


async def test_a_worker_that_is_replaced_makes_it_unready_but_not_unwell(bench: Bench) -> None:
    async with serve(bench) as http:
        bench.may_start.clear()
        bench.workers[-1].kill()
        await eventually(lambda: bench.supervisor.health().state == "restarting")
        refused = {"ready": False, "reason": "worker restarting"}
        assert await ask(http, "/readyz") == (503, refused)
        assert (await ask(http, "/healthz"))[0] == 200
        bench.may_start.set()
        await eventually(lambda: bench.supervisor.health().state == "ready")
        assert (await ask(http, "/readyz"))[0] == 200
        assert bench.supervisor.health().restarts == 1


async def test_a_worker_that_keeps_dying_makes_it_unwell() -> None:
    bench = Bench(max_restarts=0)
    async with serve(bench) as http:
        bench.workers[-1].kill()
        await eventually(lambda: bench.supervisor.health().state == "failed")
        status, body = await ask(http, "/healthz")
        assert (status, body["status"]) == (503, "unwell")
        assert "keeps failing" in body["checks"]["worker"]
        assert await ask(http, "/readyz") == (503, {"ready": False, "reason": "worker failed"})


async def test_draining_makes_it_unready(bench: Bench) -> None:
    ended: list[int] = []
    async with serve(bench) as http:
        http.app[DRAIN].begin(lambda: ended.append(1))  # type: ignore[union-attr]
        assert await ask(http, "/readyz") == (503, {"ready": False, "reason": "draining"})
        assert (await ask(http, "/healthz"))[0] == 200
        await eventually(lambda: ended)


async def test_a_full_disk_makes_it_unready_but_not_unwell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(bench) as http:
        monkeypatch.setattr(stream.server.health, "MIN_DISK_FREE", 1 << 60)
        status, body = await ask(http, "/readyz")
        assert status == 503
        assert "data: " in body["reason"]
        assert "MiB free" in body["reason"]
        status, body = await ask(http, "/healthz")
        assert (status, body["status"]) == (200, "ok")
        assert "MiB free" in body["checks"]["data"]


async def test_the_state_of_a_supervisor_that_was_not_started_or_was_stopped() -> None:
    bench = Bench()
    assert bench.supervisor.health().state == "starting"
    await asyncio.to_thread(bench.supervisor.start)
    assert bench.supervisor.health().state == "ready"
    await asyncio.to_thread(bench.supervisor.stop)
    assert bench.supervisor.health().state == "stopped"


@pytest.mark.parametrize(
    ("state", "silent", "is_well"),
    [
        ("ready", 0.0, True),
        ("ready", 15.0, True),
        ("ready", 21.0, False),
        ("restarting", None, True),
        ("starting", None, True),
        ("failed", None, False),
    ],
)
def test_when_a_worker_is_well(state: State, silent: float | None, is_well: bool) -> None:
    class Seen:
        def health(self) -> WorkerHealth:
            return WorkerHealth(state, silent, 10.0, 0)

    assert (health.worker(Seen())() is None) is is_well  # type: ignore[arg-type]


async def test_a_check_that_hangs_or_breaks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.server.health, "CHECK_TIMEOUT", 0.05)
    go_on, calls = threading.Event(), []

    def hangs() -> None:
        calls.append(1)
        assert go_on.wait(20)

    def breaks() -> None:
        raise RuntimeError("oh")

    checks = health.Checks()
    checks.add("disk", hangs)  # type: ignore[arg-type]
    checks.add("bug", breaks)  # type: ignore[arg-type]
    for _ in range(3):
        found = await checks.run()
        assert found == {"disk": "no answer within 0.05 s", "bug": "failed: RuntimeError oh"}
    assert len(calls) == 1  # one thread hangs, not three
    go_on.set()
    await eventually(lambda: not checks._running)
    assert (await checks.run())["disk"] == "ok"


def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.folder(tmp_path)() is None
    assert list(tmp_path.iterdir()) == []
    found = health.folder(tmp_path / "none")()
    assert found == f"cannot write in {tmp_path}/none: no such file or directory"
    monkeypatch.setattr(stream.server.health, "MIN_DISK_FREE", 1 << 60)
    assert "MiB free; wanted" in (health.folder(tmp_path)() or "")


def test_threads_that_are_all_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.server.health, "CHECK_TIMEOUT", 0.1)
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        assert health.threads(pool)() is None
        pool.submit(go_on.wait, 20)
        assert health.threads(pool)() == "all are busy"
        go_on.set()
        pool.submit(int).result(20)
        assert health.threads(pool)() is None

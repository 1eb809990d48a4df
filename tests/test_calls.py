"""Calls and jobs over HTTP, with something in place of the process that works on the video: what
happens around it when the server ends, the database fails, or the process does."""

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import BrightEngine, bright_supervisor
from rtc_client import eventually

from stream import logs
from stream.jobs import process
from stream.jobs.process import JobError
from stream.server import hosted
from stream.server.app import create_app
from stream.server.callers import ACCESS
from stream.server.drain import DRAIN
from stream.server.submit import SUBMISSIONS
from stream.settings import Settings

Http = TestClient[Any, Any]

URL = "data:video/mp4;base64,AAAA"
CALL = {"input_video": URL, "coordinates": [5, 5]}
JOB = {"input": URL, "prompts": [{"point": [5, 5]}]}

BIG = 64 * 1024**2
"""Bytes of a result that no socket holds back."""


class Work:
    """Stands for the processes. go: what each job waits for. size: of its results. requests: what
    they were to do, in the order in which they began."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.size = 5
        self.error: JobError | None = None
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, module: str, orders: Any, *_: Any) -> Any:
        if module == "stream.jobs.probe":
            return {"width": 64, "height": 48, "duration": 1.0, "frames": 5, "sound": False}
        self.requests.append(orders["request"])
        await self.go.wait()
        if self.error is not None:
            logging.getLogger("stream.jobs.process").error("it died: %s", "of something")
            raise self.error
        for name in ("video", "overlay"):
            (Path(orders["output"]) / f"{name}.mp4").write_bytes(bytes(self.size))
        return {"seconds": 1.0, "frames": 5}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work()
    monkeypatch.setattr(process, "run", made)
    monkeypatch.setattr(hosted, "LOOK_INTERVAL", 0.05)
    return made


@pytest.fixture
async def http(tmp_path: Path, work: Work) -> AsyncIterator[Http]:
    engine = BrightEngine()
    engine.words = ("object",)
    app = create_app(Settings(data=tmp_path), bright_supervisor(engine))
    async with TestClient(TestServer(app)) as client:
        yield client


def call(http: Http, **more: Any) -> "asyncio.Task[aiohttp.ClientResponse]":
    async def post() -> aiohttp.ClientResponse:
        response = await http.post(hosted.PATH, json=CALL, **more)
        await response.read()
        return response  # type: ignore[return-value]

    return asyncio.create_task(post())


async def message(response: aiohttp.ClientResponse) -> str:
    return str((await response.json())["error"]["message"])


async def test_the_servers_end_waits_for_what_is_being_sent(http: Http, work: Work) -> None:
    work.size = BIG
    work.go.set()
    drain, ended = http.app[DRAIN], asyncio.Event()  # type: ignore[index]
    place = (await http.post("/jobs", json=JOB)).headers["Location"]
    job = http.app[SUBMISSIONS].jobs  # type: ignore[index]
    assert (await job.ended(place.rpartition("/")[2])).state == "done"
    for method, path, body in (("POST", hosted.PATH, CALL), ("GET", f"{place}/result", None)):
        response = await http.request(method, path, json=body)
        assert response.status == 200
        assert drain.running() == {"answers": 1}, path
        if method == "GET":
            drain.begin(ended.set)
            await asyncio.sleep(0.3)
            assert not ended.is_set()
        assert len(await response.read()) == BIG
        await eventually(lambda: not drain.running())
    await asyncio.wait_for(ended.wait(), 10)


async def test_calls_when_the_server_ends(http: Http, work: Work) -> None:
    """That which runs is answered. That which has not begun is told to come back, and costs
    nothing; it used to end with the connection."""
    access = http.app[ACCESS]  # type: ignore[index]
    key = access.keys.create("k", credits=10_000)
    drain, ended = http.app[DRAIN], asyncio.Event()  # type: ignore[index]
    calls = [call(http, headers={"x-api-key": key}) for _ in range(3)]
    await eventually(lambda: len(work.requests) == 2 and access.keys.check(key).running == 3)
    drain.begin(ended.set)
    await eventually(lambda: sum(one.done() for one in calls) == 1)
    (refused,) = [await one for one in calls if one.done()]
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert float(refused.headers["x-remaining-credits"]) == 8
    assert not ended.is_set()
    work.go.set()
    assert sorted([(await one).status for one in calls]) == [200, 200, 503]
    await asyncio.wait_for(ended.wait(), 10)
    assert access.keys.check(key).credits == 8000


async def test_a_call_does_not_wait_for_a_long_job(http: Http, work: Work) -> None:
    for _ in range(2):
        assert (await http.post("/jobs", json=JOB)).status == 202
    await eventually(lambda: len(work.requests) == 1)
    waiting = call(http)
    await eventually(lambda: len(work.requests) == 2)
    assert work.requests[1]["exports"] == ["overlay"]
    work.go.set()
    assert (await waiting).status == 200
    await eventually(lambda: len(work.requests) == 3)


async def test_a_fault_of_a_process_can_be_followed(
    http: Http, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the answer's id to the line of the request, and by the job's id to what went wrong."""
    key = http.app[ACCESS].keys.create("k")  # type: ignore[index]
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    logs.configure(Settings(log_format="json"))
    try:
        work.error = JobError("error", "the process that worked on the video failed", 500)
        work.go.set()
        response = await call(http, headers={"x-api-key": key})
    finally:
        root.handlers[:] = before
    assert response.status == 500
    text = await message(response)
    (id,) = re.findall(r"under ([0-9a-f]{12})$", text)
    (job,) = re.findall(r"\(job ([0-9a-f]{24})\)", text)
    output = capsys.readouterr().err
    assert key not in output
    lines = [json.loads(line) for line in output.splitlines()]
    (failed,) = [line for line in lines if id in line["message"]]
    assert job in failed["error"]
    (reason,) = [line for line in lines if line["message"] == "it died: of something"]
    assert reason["job"] == job


async def test_a_database_that_fails_is_a_fault_with_an_answer(
    http: Http, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credits are looked up after the answer is made, where an error used to end the
    connection instead."""
    keys = http.app[ACCESS].keys  # type: ignore[index]
    headers = {"x-api-key": keys.create("k")}

    def fail(*_: Any) -> Any:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(keys, "get", fail)
    response = await http.get("/jobs", headers=headers)
    assert (response.status, response.headers["x-remaining-credits"]) == (200, "0")
    monkeypatch.setattr(keys, "check", fail)
    response = await http.get("/jobs", headers=headers)
    assert (response.status, response.headers["x-remaining-credits"]) == (500, "0")
    assert re.search(r"under [0-9a-f]{12}$", await message(response))  # type: ignore[arg-type]


async def test_jobs_take_the_hosted_endpoints_fields(http: Http, work: Work) -> None:
    work.go.set()
    form = aiohttp.FormData({"coordinates": "[[5, 5], [6, 6]]", "remove_coordinates": "[1, 1]"})
    form.add_field("input_video", b"video", filename="clip.mp4")
    for body, wanted in (
        (CALL, {"prompts": [{"points": [[5, 5]], "negative": []}]}),
        ({**CALL, "prompt": "object"}, {"prompts": [{"text": "object"}]}),
        (
            {"input": URL, "prompt": "object", "overlay_mask": False, "effect": "blur"},
            {"prompts": [{"text": "object"}], "exports": ["mask"], "effect": "blur"},
        ),
        (
            {**CALL, "overlay_mask": True, "exports": ["coco"]},
            {"prompts": [{"points": [[5, 5]], "negative": []}], "exports": ["coco"]},
        ),
        (form, {"prompts": [{"points": [[5, 5], [6, 6]], "negative": [[1, 1]]}]}),
    ):
        how: dict[str, Any] = {"json" if isinstance(body, dict) else "data": body}
        before = len(work.requests)
        response = await http.post("/jobs", **how)
        assert response.status == 202, await response.text()
        await eventually(lambda before=before: len(work.requests) > before)
        assert work.requests[-1] == wanted
    for body, named in (
        ({**JOB, "prompt": "object"}, "prompts"),
        ({**JOB, "input_video": URL}, "input_video"),
        ({"input": URL, "prompt": 5}, "prompt"),
        ({"input_video": 5, "prompt": "object"}, "input_video"),
    ):
        response = await http.post("/jobs", json=body)
        assert response.status == 400
        assert named in await message(response)  # type: ignore[arg-type]


async def test_pages_of_other_sites_that_have_a_key(http: Http, work: Work) -> None:
    """As axios in a browser calls the hosted service: the key is not the browser's to add."""
    work.go.set()
    origin = {"origin": "https://elsewhere.example"}
    asks = {**origin, "access-control-request-method": "POST"}
    key = {"x-api-key": http.app[ACCESS].keys.create("k")}  # type: ignore[index]
    for path in (hosted.PATH, "/jobs", "/jobs/1/result"):
        preflight = {**asks, "access-control-request-headers": "content-type,x-api-key"}
        response = await http.options(path, headers=preflight)
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin["origin"]
        assert "x-api-key" in response.headers["Access-Control-Allow-Headers"]
        without = {**asks, "access-control-request-headers": "content-type"}
        response = await http.options(path, headers=without)
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    response = await call(http, headers={**origin, **key})  # type: ignore[assignment]
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin["origin"]
    assert "x-remaining-credits" in response.headers["Access-Control-Expose-Headers"]
    wrong = {"x-api-key": key["x-api-key"][:-1]}
    assert (await call(http, headers={**origin, **wrong})).status == 401
    assert (await call(http, headers=origin)).status == 403
    assert (await http.post("/cameras", json={}, headers={**origin, **key})).status == 403


async def test_paths_that_there_are_not(http: Http) -> None:
    for method, path, status in (
        ("POST", "/v2/sam-v2-video", 404),
        ("POST", "/sam-v2-video", 404),
        ("POST", "/jobs/1/nothing", 404),
        ("PUT", "/", 405),
        ("POST", "/index.html", 405),
        ("POST", "/healthz", 405),
        ("PUT", "/jobs", 405),
        ("GET", hosted.PATH, 405),
    ):
        response = await http.request(method, path)
        assert response.status == status, path
        assert ("Allow" in response.headers) is (status == 405), path


async def test_what_waits_and_what_is_reserved_is_measured(http: Http, work: Work) -> None:
    key = {"x-api-key": http.app[ACCESS].keys.create("k")}  # type: ignore[index]
    for _ in range(2):
        assert (await http.post("/jobs", json=JOB, headers=key)).status == 202
    await eventually(lambda: work.requests)
    await asyncio.sleep(0.1)
    text = await (await http.get("/metrics")).text()
    assert "segstream_credits_reserved 2.0" in text
    (age,) = re.findall(r'segstream_queue_age_seconds\{queue="jobs"\} ([0-9.]+)', text)
    assert 0.1 <= float(age) < 60

"""Host and Origin are whatever a client likes to write."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor

from stream.server.app import create_app
from stream.settings import Settings

Http = TestClient[Any, Any]

ODD = ("[", "[::1", "]", "[x]", "a]b", "\u2100.example", "a:b:c", "a:99999999", "", " ", "@", "a@b")


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
async def http(request: pytest.FixtureRequest) -> AsyncIterator[Http]:
    settings = Settings(
        host=request.param, hosts=("Video.Example",), token="12345678", session_keys="remote"
    )
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/healthz", "/whip", "/rtc", "/jobs", "/v1/sam-v2-video"])
async def test_none_of_them_is_a_fault_of_the_server(
    http: Http, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for odd in ODD:
        for headers in ({"Host": odd}, {"Origin": odd}, {"Origin": f"http://{odd}"}):
            for method in ("GET", "POST", "OPTIONS"):
                answer = await http.request(method, path, headers=headers)
                assert 200 <= answer.status < 500, (method, headers, await answer.text())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_names_are_the_same_in_any_case(http: Http) -> None:
    for name in ("video.example", "VIDEO.example", "LOCALHOST"):
        answer = await http.get("/", headers={"Host": name})
        assert answer.status == 200, name
    own = {"Origin": "https://VIDEO.example", "Host": "Video.Example"}
    answer = await http.post("/rtc", headers=own)
    assert answer.status in (401, 415), await answer.text()


async def test_what_a_proxy_on_this_machine_passes_on_is_not_from_this_machine(
    tmp_path: Path,
) -> None:
    """nginx passes on "localhost" as the host unless it is told otherwise."""
    settings = Settings(data=tmp_path)
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as http:
        assert (await http.get("/jobs")).status == 200
        passed_on = {"X-Forwarded-For": "203.0.113.7"}
        assert (await http.get("/jobs", headers=passed_on)).status == 401


async def test_what_was_sent_is_not_sent_back_whole(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as http:
        wanted = {"prompts": [{"text": "person"}], "effect": {"name": "x" * 1_000_000}}
        answer = await http.post("/jobs", json={"input": "http://192.0.2.1/", **wanted})
        assert answer.status == 400
        body = await answer.read()
        assert b"xxx" in body
        assert len(body) < 3000

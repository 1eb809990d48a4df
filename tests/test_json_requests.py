"""Requests for jobs as JSON: large ones that are a video, and those that are made to hurt."""

import base64
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from stream.errors import LimitError
from stream.limits import MAX_JOB_PROMPTS, MAX_JSON, MAX_POINTS
from stream.server import uploads


async def read(monkeypatch: pytest.MonkeyPatch, body: bytes) -> dict[str, Any]:
    async def read_body(request: Any, limit: int) -> bytes:
        assert len(body) <= limit == MAX_JSON
        return body

    monkeypatch.setattr(uploads, "read_body", read_body)
    request: Any = SimpleNamespace(content_type="application/json")
    return await uploads.read(request, ("input",), None)  # type: ignore[arg-type]


async def test_a_video_and_all_prompts_that_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [{"frame": i, "points": [[1, 2]] * MAX_POINTS} for i in range(MAX_JOB_PROMPTS)]
    video = "data:video/mp4;base64," + base64.b64encode(bytes(1024 * 1024)).decode()
    wanted = {"input": video, "prompts": prompts}
    assert await read(monkeypatch, json.dumps(wanted).encode()) == wanted


@pytest.mark.parametrize("part", [b"[],", b"1,", b'"a",', b"{},"])
async def test_too_many_values_stop_nobody(monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    body = b'{"input": [' + part * (2_000_000 // len(part)) + b"0]}"
    began = time.process_time()
    with pytest.raises(LimitError, match="values"):
        await read(monkeypatch, body)
    assert time.process_time() - began < 0.2

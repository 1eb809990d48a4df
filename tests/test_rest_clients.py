"""The server as the hosted service's users call it, with axios and with requests, and by a program
that makes up requests from its OpenAPI document."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import drawn_clips as clips
from tests import npm
from tests.job_server import JobServer, serving

pytestmark = pytest.mark.slow

AXIOS = "1.21.1"

NODE = """
const fs = require('fs');
const axios = require('axios');
(async function () {
  for (const [url, data, headers] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    let answer;
    try {
      answer = await axios.post(url, data, { headers, responseType: 'arraybuffer' });
    } catch (error) {
      answer = error.response;
    }
    console.log(JSON.stringify([
      answer.status, answer.headers['x-remaining-credits'],
      answer.headers['content-type'], Buffer.from(answer.data).toString('base64'),
    ]));
  }
})();
"""

PYTHON = """
import base64, json, sys
import requests
for url, data, headers in json.load(sys.stdin):
    if isinstance(data, str):
        answer = requests.post(url, data=data, headers=headers)
    else:
        answer = requests.post(url, json=data, headers=headers)
    content = base64.b64encode(answer.content).decode()
    left, kind = answer.headers["x-remaining-credits"], answer.headers["content-type"]
    print(json.dumps([answer.status_code, left, kind, content]))
"""


@pytest.fixture(scope="session")
def axios() -> list[str]:
    """Node with axios."""
    script = npm.fetch("axios", AXIOS) / "call.cjs"
    script.write_text(NODE)
    return ["node", str(script)]


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[str]:
    """A web server with `drawn.mp4`, `huge.mp4` of pictures that are too large, and no video."""
    folder = tmp_path / "files"
    folder.mkdir()
    clips.make(folder / "drawn.mp4", count=12, audio="aac")
    clips.make(folder / "huge.mp4", count=1, width=4400, height=2304)
    (folder / "text.mp4").write_text("no video")
    async with serving(folder) as url:
        yield url


async def calls(command: list[str], given: list[Any]) -> list[tuple[int, str, str, bytes]]:
    """What the client got for each: status, credits, type and body."""
    import base64

    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), 120)
    answers = [json.loads(line) for line in output.splitlines()]
    assert len(answers) == len(given)
    return [(*answer[:3], base64.b64decode(answer[3])) for answer in answers]


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe says of the streams, by type."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return {stream["codec_type"]: stream for stream in json.loads(done.stdout)["streams"]}


@pytest.mark.parametrize("client", ["axios", "requests"])
async def test_every_answer(client: str, axios: list[str], files: str, tmp_path: Path) -> None:
    command = axios if client == "axios" else [sys.executable, "-c", PYTHON]
    server = JobServer(tmp_path / "data", SEGSTREAM_FETCH_ALLOW="127.0.0.1")
    await server.start()
    try:
        key = server.keys("create", "mine", "--credits", "60")
        poor = server.keys("create", "poor", "--credits", "0.1")
        url = f"{server.base}/v1/sam-v2-video"
        good = {"input_video": f"{files}/drawn.mp4", "coordinates": "[60,60]", "overlay_mask": True}
        mine = {"x-api-key": key}
        table: list[tuple[int, str, Any, dict[str, str]]] = [
            (200, url, good, mine),
            (200, url, {**good, "prompt": "object", "overlay_mask": False}, mine),
            (400, url, {"input_video": good["input_video"]}, mine),
            (400, url, "{", {**mine, "content-type": "application/json"}),
            (401, url, good, {}),
            (401, url, good, {"x-api-key": "wrong"}),
            (404, f"{server.base}/v1/sam-v9", good, mine),
            (406, url, good, {"x-api-key": poor}),
            (413, url, {**good, "input_video": f"{files}/huge.mp4"}, mine),
            (415, url, "text", {**mine, "content-type": "text/plain"}),
            (422, url, {**good, "prompt": "zebra"}, mine),
            (422, url, {**good, "input_video": f"{files}/text.mp4"}, mine),
        ]
        answers = await calls(command, [row[1:] for row in table])
        found = [answer[0] for answer in answers]
        assert found == [row[0] for row in table], [a[3] for a in answers if a[0] != 200]
        for status, left, kind, body in answers:
            assert kind.startswith("video/mp4" if status == 200 else "application/json")
            assert float(left) <= 60
            if status != 200:
                assert set(json.loads(body)["error"]) == {"code", "message"}
        for _, _, _, body in answers[:2]:
            path = tmp_path / "answer.mp4"
            path.write_bytes(body)
            streams = probed(path)
            video, sound = streams["video"], streams["audio"]
            assert (video["codec_name"], video["nb_read_frames"]) == ("h264", "12")
            assert (video["width"], video["height"]) == (160, 120)
            assert video["r_frame_rate"] == "30000/1001"
            assert sound["codec_name"] == "aac"

        # A fault of the server has an id, under which its log says why.
        (tmp_path / "data" / "jobs").rename(tmp_path / "data" / "gone")
        ((status, _, _, body),) = await calls(command, [(url, good, mine)])
        (tmp_path / "data" / "gone").rename(tmp_path / "data" / "jobs")
        message = json.loads(body)["error"]["message"]
        assert status == 500
        assert str(tmp_path) not in message
        (id,) = re.findall(r"\b[0-9a-f]{12}$", message)
    finally:
        assert await server.stop() == 0
    (line,) = [line for line in server.output.splitlines() if id in line]
    assert "POST /v1/sam-v2-video failed" in line
    assert server.output.count("Traceback") == 1


async def test_made_up_requests(tmp_path: Path) -> None:
    """schemathesis: no request that it makes from the document is a server error."""
    server = JobServer(tmp_path / "data")
    await server.start()
    try:
        key = server.keys("create", "mine", "--jobs", "64")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", f"{server.base}/openapi.json",
            "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing",
            "--max-examples", "30", "--seed", "1", "--warnings", "off",
            "--request-timeout", "20", "-H", f"x-api-key: {key}", "--no-color",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 150)
    finally:
        assert await server.stop() == 0
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-4000:]
    assert "No issues found" in text, text[-4000:]
    # aiohttp logs it when a client speaks no HTTP; nothing else may go wrong.
    assert server.output.count("Traceback") == server.output.count("BadHttpMessage: 400")
    ((selected, operations),) = re.findall(r"Selected: (\d+)/(\d+)", text)
    assert re.findall(r"Tested: (\d+)", text) == [selected] == [operations]

"""The server as the hosted service's users call it, with axios and with requests, and by a program
that makes up requests from its OpenAPI document."""

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
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
  for (const { method, url, data, headers, bytes } of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    const more = bytes ? { responseType: 'arraybuffer' } : {};
    let answer;
    try {
      answer = method === 'post'
        ? await axios.post(url, data, { headers, ...more })
        : await axios.get(url, { headers, ...more });
    } catch (error) {
      answer = error.response;
    }
    const isParsed = !bytes && typeof answer.data === 'object';
    const body = Buffer.from(isParsed ? JSON.stringify(answer.data) : answer.data);
    console.log(JSON.stringify([
      answer.status, answer.headers['x-remaining-credits'],
      answer.headers['content-type'], body.toString('base64'),
    ]));
  }
})();
"""
"""`bytes`: as who wants the video has to ask for it; else as the hosted service documents the call,
with axios's defaults, which read JSON and take a video for text."""

PYTHON = """
import base64, json, sys
import requests
for call in json.load(sys.stdin):
    url, data, headers = call["url"], call["data"], call["headers"]
    if call["method"] == "get":
        answer = requests.get(url, headers=headers)
    elif isinstance(data, str):
        answer = requests.post(url, headers=headers, data=data)
    else:
        answer = requests.post(url, headers=headers, json=data)
    content = base64.b64encode(answer.content).decode()
    left, kind = answer.headers["x-remaining-credits"], answer.headers["content-type"]
    print(json.dumps([answer.status_code, left, kind, content]))
"""

JSON = {"content-type": "application/json"}
"""The documented call names it, where `json=` and axios would do so by themselves."""


@pytest.fixture(scope="session")
def axios() -> list[str]:
    """Node with axios."""
    script = npm.fetch("axios", AXIOS) / "call.cjs"
    script.write_text(NODE)
    return ["node", str(script)]


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[str]:
    """A web server with `walk.mkv` of a person, `drawn.mp4`, `huge.mp4` of pictures that are too
    large, and no video."""
    folder = tmp_path / "files"
    folder.mkdir()
    clips.make(folder / "drawn.mp4", count=12, audio="aac")
    clips.beginning(clips.VIDEO / "webcam" / "walk.mkv", folder / "walk.mkv", 0.5)
    clips.make(folder / "huge.mp4", count=1, width=4400, height=2304)
    (folder / "text.mp4").write_text("no video")
    async with serving(folder) as url:
        yield url


@dataclass(frozen=True)
class Call:
    """One request; the same for both clients."""

    status: int
    url: str
    data: Any
    headers: dict[str, str]
    method: str = "post"
    bytes: bool = False


async def answers_of(command: list[str], calls: list[Call]) -> list[tuple[int, str, str, bytes]]:
    """What the client got for each: status, credits, type and body."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given = json.dumps([asdict(call) for call in calls]).encode()
    output, _ = await asyncio.wait_for(process.communicate(given), 180)
    answers = [json.loads(line) for line in output.splitlines()]
    assert len(answers) == len(calls)
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
        spent = server.keys("create", "spent", "--minutes-a-day", "0")
        url = f"{server.base}/v1/sam-v2-video"
        # As the hosted service documents it, but for the video's address.
        man = {"input_video": f"{files}/walk.mkv", "prompt": "man", "overlay_mask": True}
        good = {"input_video": f"{files}/drawn.mp4", "coordinates": "[60,60]", "overlay_mask": True}
        masks = {**good, "prompt": "object", "overlay_mask": False}
        mine = {"x-api-key": key}
        foreign = {"origin": "https://elsewhere.example"}
        table = [
            Call(200, url, man, {**mine, **JSON}),
            Call(200, url, good, mine, bytes=True),
            Call(200, url, masks, mine, bytes=True),
            Call(400, url, {"input_video": man["input_video"]}, mine),
            Call(400, url, "{", {**mine, **JSON}),
            Call(401, url, man, {}),
            Call(401, url, man, {"x-api-key": "wrong"}),
            Call(403, url, man, foreign),
            Call(404, f"{server.base}/v1/sam-v9", man, mine),
            Call(405, url, None, mine, method="get"),
            Call(406, url, man, {"x-api-key": poor}),
            Call(413, url, {**man, "input_video": f"{files}/huge.mp4"}, mine),
            Call(415, url, "text", {**mine, "content-type": "text/plain"}),
            Call(422, url, {**man, "prompt": "zebra"}, mine),
            Call(422, url, {**man, "input_video": f"{files}/text.mp4"}, mine),
            Call(429, url, man, {"x-api-key": spent}),
        ]
        answers = await answers_of(command, table)
        found = [answer[0] for answer in answers]
        assert found == [call.status for call in table], [a[3] for a in answers if a[0] != 200]
        for status, left, kind, body in answers:
            assert kind.startswith("video/mp4" if status == 200 else "application/json")
            assert float(left) <= 60 or status == 429
            if status != 200:
                assert set(json.loads(body)["error"]) == {"code", "message"}
        assert b"ftyp" in answers[0][3][:16]  # a video, if read as text
        for _, _, _, body in answers[1:3]:
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
        ((status, _, _, body),) = await answers_of(command, [Call(500, url, man, mine)])
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

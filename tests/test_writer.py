"""The process that sends to a target: what it writes, and that it always ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from camera_server import Http, add_camera
from fake_tracker import bright_supervisor
from rtc_client import eventually
from rtsp_camera import write_clip
from test_publish import until

from stream.child import Child, ChildDied
from stream.egress import publisher
from stream.egress.encoder import Encoded, H264Encoder, Target
from stream.egress.target import Kind
from stream.egress.writer import LONGEST_CALL, Output
from stream.egress.writer_messages import MAX_LINE, Open, Picture, encode
from stream.server.app import create_app
from stream.settings import Settings


def encoded(sizes: list[tuple[int, int]]) -> list[Encoded]:
    """A picture of each size; the first of a size is a key frame."""
    encoder, pictures = H264Encoder(), []
    for index, (width, height) in enumerate(sizes):
        pixels = np.full((height * 3 // 2, width), 128, np.uint8)
        pixels[: height // 2, : index + 8] = 220
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        is_first = index == 0 or sizes[index - 1] != sizes[index]
        made = encoder.encode(frame, index * 3000, Target(500_000, 500_000), is_first)
        assert made is not None
        pictures.append(made)
    return pictures


def write(output: Output, pictures: list[Encoded], first: int = 0) -> None:
    for index, made in enumerate(pictures, first):
        output.write(Picture(len(made.data), 90_000 + index * 3000, made.keyframe), made.data)


def test_flv_begins_at_a_key_frame_with_its_parameters_and_time_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    output = Output(Open(str(path), Kind.RTMP))
    first, *rest = encoded([(64, 48)] * 10)
    write(output, rest[:3])
    assert not path.exists(), "nobody could decode these"
    write(output, [first, *rest])
    output.close()
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.extradata
        times = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
    assert times == pytest.approx([index / 30 for index in range(10)], abs=0.002)


def test_flv_of_another_size_is_another_connection(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    output = Output(Open(str(path), Kind.RTMP))
    pictures = encoded([(64, 48)] * 5 + [(128, 96)] * 5)
    write(output, pictures[:5])
    write(output, pictures[5:], 5)
    output.close()
    with av.open(str(path)) as file:  # opened, so begun, anew
        shown = [(frame.width, frame.height) for frame in file.decode(video=0)]
    assert shown == [(128, 96)] * 5


class Deaf:
    """Takes connections, and never says anything."""

    def __init__(self) -> None:
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Deaf":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        self._server.close()

    async def _take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)


async def test_it_ends_with_the_server_even_while_ffmpeg_waits_and_keeps_the_lock() -> None:
    async with Deaf() as deaf:
        child = await Child.start("stream.egress.writer", max_line=MAX_LINE)
        [made] = encoded([(64, 48)])
        child.write(encode(Open(f"rtmp://127.0.0.1:{deaf.port}/live/key", Kind.RTMP)))
        child.write(encode(Picture(len(made.data), 0, True)) + made.data)
        await eventually(lambda: deaf.connections)
        assert child._process.stdin is not None
        child._process.stdin.close()  # as when the server dies
        await child.ended(LONGEST_CALL + 10)
        assert child._process.returncode in (0, -signal.SIGALRM)
        with pytest.raises(ChildDied):
            await child.line()
        await child.kill()


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    settings = Settings(cameras=tmp_path / "cameras.json", camera_files=True)
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as client:
        yield client


async def test_a_target_that_never_answers_is_given_up(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_OPEN", 0.5)
    clip = write_clip(tmp_path / "clip.mp4")
    async with Deaf() as deaf:
        url = f"rtsp://127.0.0.1:{deaf.port}/live"
        await add_camera(http, name="film", url=str(clip), publish=[url])
        found = await until(http, state="waiting")
        assert found["failure"] == "unreachable"
        assert "no answer" in found["reason"]
        await eventually(lambda: deaf.connections > 1)


async def test_a_writer_that_dies_is_replaced(http: Http, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    pids: list[int] = []
    start = Child.start.__func__  # type: ignore[attr-defined]

    async def noted(cls: type[Child], module: str, *arguments: str, **more: object) -> Child:
        child: Child = await start(cls, module, *arguments, **more)
        if module == "stream.egress.writer":
            pids.append(child.pid)
        return child

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Child, "start", classmethod(noted))
        async with Deaf() as deaf:
            url = f"rtsp://127.0.0.1:{deaf.port}/live"
            await add_camera(http, name="film", url=str(clip), publish=[url])
            await eventually(lambda: deaf.connections)
            os.kill(pids[0], signal.SIGKILL)
            found = await until(http, state="waiting")
            assert found["failure"] == "crashed"
            await eventually(lambda: deaf.connections > 1)
            assert len(pids) == 2

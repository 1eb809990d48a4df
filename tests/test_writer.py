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

from stream import srt
from stream.child import Child, ChildDied
from stream.egress import publisher
from stream.egress.encoder import Encoded, H264Encoder, Target
from stream.egress.target import Kind
from stream.egress.writer import LONGEST_CALL, OPTIONS, Output
from stream.egress.writer_messages import (
    MAX_LINE,
    Open,
    Picture,
    Sound,
    SoundFormat,
    encode,
)
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


STEREO = SoundFormat(48_000, 2)
BEEP = 0.5
"""Seconds after the first picture at which `hear` beeps."""


def hear(output: Output, frames: range, shift: int = 0) -> None:
    """Frames of 20 ms, from 90,000 on as in `write`; shift: of their times, in 1/90000 s."""
    for index in frames:
        times = np.arange(index * 960, (index + 1) * 960) / 48_000
        wave = np.sin(times * 2 * np.pi * 440) * 12_000 * ((times >= BEEP) & (times < BEEP + 0.1))
        data = np.repeat(wave.astype(np.int16), 2).tobytes()
        output.hear(Sound(len(data), 90_000 + index * 1800 + shift), data)


def sounds(path: Path) -> tuple[list[float], float]:
    """When each decoded frame of sound begins, and when the beep does."""
    times, beep = [], None
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            assert frame.pts is not None
            times.append(float(frame.pts * frame.time_base))
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.05)
            if beep is None and loud.size:
                beep = times[-1] + int(loud[0]) / frame.sample_rate
    assert beep is not None
    return times, beep


@pytest.mark.parametrize("kind", [Kind.RTMP, Kind.SRT])
def test_sound_keeps_its_time_beside_the_pictures(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "written"
    url = "srt://h:9" if kind is Kind.SRT else str(path)
    monkeypatch.setattr(srt, "connect", lambda _: path.open("wb"))
    output = Output(Open(url, kind, STEREO))
    hear(output, range(3))  # nobody has a picture to it
    pictures = encoded([(64, 48)] * 30)
    write(output, pictures[:15])
    hear(output, range(-3, 40))
    write(output, pictures[15:], 15)
    output.close()
    times, beep = sounds(path)
    assert beep == pytest.approx(BEEP, abs=0.003)
    assert times[0] == pytest.approx(0, abs=0.022)
    assert np.diff(times) == pytest.approx(1024 / 48_000, abs=0.002)


def test_sound_that_was_lost_leaves_a_gap_and_none_comes_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    output = Output(Open(str(path), Kind.RTMP, STEREO))
    write(output, encoded([(64, 48)] * 30))
    hear(output, range(10))
    hear(output, range(15, 40))
    hear(output, range(20, 40))
    output.close()
    times, beep = sounds(path)
    assert beep == pytest.approx(BEEP, abs=0.025), "the encoder's frame takes in the gap's edge"
    assert max(np.diff(times)) == pytest.approx(0.121, abs=0.025)
    assert times[-1] < 0.8


def test_pictures_wait_for_no_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIONS[Kind.RTMP], "flush_packets", "1")
    path = tmp_path / "a.flv"
    output = Output(Open(str(path), Kind.RTMP, STEREO))
    pictures = encoded([(64, 48)] * 40)
    write(output, pictures[:20])
    hear(output, range(30))
    write(output, pictures[20:30], 20)
    sizes = []
    for index, picture in enumerate(pictures[30:], 30):
        write(output, [picture], index)
        sizes.append(path.stat().st_size)
    assert min(np.diff(sizes)) > 0
    output.close()


def test_sound_that_begins_later_is_another_connection(tmp_path: Path) -> None:
    before, after = tmp_path / "before.flv", tmp_path / "after.flv"
    output = Output(Open(str(before), Kind.RTMP))
    pictures = encoded([(64, 48)] * 30)
    write(output, pictures[:5])
    hear(output, range(5))
    output.order = Open(str(after), Kind.RTMP, STEREO)
    write(output, pictures[5:9], 5)
    write(output, pictures, 9)
    hear(output, range(15, 60), shift=9 * 3000)
    output.close()
    with av.open(str(before)) as file:
        assert not file.streams.audio
        assert sum(1 for _ in file.decode(video=0)) == 9
    assert sounds(after)[1] == pytest.approx(BEEP, abs=0.025)


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

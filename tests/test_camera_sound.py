"""The sound of cameras: read beside the picture, in step with it, and never in its way."""

import asyncio
import io
import json
import mmap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rtc_client import eventually
from rtsp_camera import Camera, missing, write_streams, write_talk
from test_publish import apart, onsets

from stream.ingest import address
from stream.ingest.address import Kind, Transport
from stream.ingest.reader import Slots, play
from stream.ingest.reader_messages import SLOT_BYTES, SLOTS, Open
from stream.ingest.rtsp import Follower

pytestmark = pytest.mark.slow

IN_STEP = 0.060
"""Seconds: two pictures."""


class Heard:
    """What a Follower hands over: when the pictures flash and the sound beeps."""

    def __init__(self, url: str, **options: Any) -> None:
        transport = options.pop("transport", Transport.AUTO)
        self.flashes: list[float] = []
        self.beeps: list[float] = []
        self.arrivals: list[float] = []
        self.pictures = 0
        where = address.read(url, files=True)
        self.follower = Follower("talk", where, transport, self._see, self._hear, **options)

    def _see(self, picture: av.VideoFrame) -> None:
        self.pictures += 1
        if picture.to_ndarray(format="gray").mean() > 120:
            self.flashes.append(time.monotonic())

    def _hear(self, sound: av.AudioFrame, arrived: float) -> None:
        assert (sound.sample_rate, sound.layout.name, sound.samples) == (48_000, "stereo", 960)
        self.arrivals.append(arrived)
        if np.abs(sound.to_ndarray()).max() > 3_000:
            self.beeps.append(arrived)

    @property
    def apart(self) -> float:
        return apart(onsets(self.flashes), onsets(self.beeps))


async def listen(heard: Heard, seconds: int = 5) -> None:
    """Until so many flashes came."""
    following = asyncio.create_task(heard.follower.run())
    try:
        await eventually(lambda: len(onsets(heard.flashes)) > seconds, 30)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    print(f"\nsound {heard.apart * 1e3:+.0f} ms after the picture")


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    assert not missing(), missing()
    camera = Camera(write_streams(tmp_path_factory.mktemp("streams")))
    camera.start()
    yield camera
    camera.kill()


@pytest.mark.parametrize(
    ("path", "codec"), [("aac", "aac"), ("pcmu", "pcm_mulaw"), ("opus", "opus")]
)
async def test_rtsp_sound_is_in_step(camera: Camera, path: str, codec: str) -> None:
    heard = Heard(camera.url(path))
    await listen(heard)
    assert codec in str(heard.follower.sound)
    assert abs(heard.apart) < IN_STEP
    assert heard.follower.source.reconnects == 0
    assert heard.follower.clock.jumps == 0


async def test_rtsp_sound_over_udp(camera: Camera) -> None:
    heard = Heard(camera.url("aac"), transport=Transport.UDP)
    await listen(heard)
    assert abs(heard.apart) < IN_STEP


@pytest.mark.parametrize("late", [0.0, 0.9])
async def test_a_films_sound_is_in_step_however_it_is_interleaved(
    tmp_path: Path, late: float
) -> None:
    heard = Heard(str(write_talk(tmp_path / "talk.mp4", seconds=8, late=late)))
    await listen(heard)
    assert heard.follower.sound == "aac"
    assert abs(heard.apart) < IN_STEP
    steps = np.diff(heard.arrivals)
    assert np.abs(steps - 0.02).max() < 0.001, "without a gap"


@pytest.mark.parametrize("name", ["talk.mp4", "talk.ts"])
async def test_a_film_over_http_is_in_step_too(tmp_path: Path, name: str) -> None:
    write_talk(tmp_path / name, seconds=8, late=0.9 if name == "talk.mp4" else 0.0)
    app = web.Application()
    app.router.add_static("/", tmp_path)
    async with TestServer(app) as server:
        heard = Heard(str(server.make_url(f"/{name}")))
        await listen(heard)
    assert heard.follower.sound == "aac"
    assert abs(heard.apart) < IN_STEP


async def test_sound_that_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    heard = Heard(str(write_talk(tmp_path / "talk.mp4", seconds=2)), with_sound=False, loop=False)
    async with asyncio.timeout(30):
        await heard.follower.run()
    assert heard.flashes
    assert not heard.arrivals
    assert heard.follower.sound == ""


async def test_a_film_that_is_played_again_overlaps_nothing(tmp_path: Path) -> None:
    heard = Heard(str(write_talk(tmp_path / "talk.mp4", seconds=2)))
    await listen(heard, 6)
    assert abs(heard.apart) < IN_STEP
    assert np.diff(heard.arrivals).min() > 0.005
    assert len(heard.arrivals) > 250


@pytest.mark.parametrize("longer", [0.0, 0.7])
@pytest.mark.parametrize("by", ["file", "http"])
async def test_a_film_that_begins_anew_is_heard_from_end_to_end(
    tmp_path: Path, by: str, longer: float
) -> None:
    """What comes after its last picture neither is cut off nor takes the next beginning's place."""
    write_talk(tmp_path / "talk.mp4", seconds=2, longer=longer)
    app = web.Application()
    app.router.add_static("/", tmp_path)
    async with TestServer(app) as server:
        url = str(server.make_url("/talk.mp4")) if by == "http" else str(tmp_path / "talk.mp4")
        heard = Heard(url)
        await listen(heard, 7)
    assert abs(heard.apart) < IN_STEP
    flashes = onsets(heard.flashes)[1:]
    rounds = [
        (begin, end)
        for begin, end in zip(flashes, flashes[2:], strict=False)  # there are two a round
        if end - begin < 2.5 + longer  # else one was overtaken between them
    ]
    found = [
        sum(begin <= arrival + 0.01 < end for arrival in heard.arrivals) for begin, end in rounds
    ]
    print([f"{count * 0.02:.2f} s" for count in found])
    # On a busy machine one flash comes late to be seen, so one round seems short, the next long.
    assert np.median(found) == pytest.approx((2 + longer) * 50, abs=4)


def sounds_of(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pictures and the sounds that a reading process tells of a file."""
    said = io.BytesIO()
    slots = Slots(mmap.mmap(-1, SLOTS * SLOT_BYTES), said)
    slots._free = list(range(SLOTS)) * 100
    play(Open(str(path), Kind.FILE, "file", loop=False), slots)
    told = [json.loads(line) for line in said.getvalue().splitlines()]
    return tuple([each for each in told if each["is"] == kind] for kind in ("Picture", "Sound"))


def test_damaged_sound_leaves_the_picture_alone(tmp_path: Path) -> None:
    path = write_talk(tmp_path / "talk.mkv", seconds=2)
    whole, sounds = sounds_of(path)
    assert len(sounds) > 80
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as film:
        places = [(p.pos, p.size) for p in film.demux(audio=0) if p.size]
    random = np.random.default_rng(0)
    for at, size in places:
        # After the block's own head, which only says where it belongs.
        data[at + 8 : at + size] = random.bytes(max(size - 8, 0))
    path.write_bytes(data)
    pictures, left = sounds_of(path)
    assert len(pictures) >= len(whole) - 2
    assert len(left) < len(sounds) or left != sounds

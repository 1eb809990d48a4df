"""Flash and beep together at the source are together at who watches: by WebRTC, of a session and of
an RTSP camera.

What counts are the times that the media carry: RTP timestamps, put on one clock by the sender
reports (RFC 3550, 6.4.1), as players do it; not when this machine comes to look at them.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiortc.rtp import RtcpSrPacket
from camera_server import Http, add_camera, until
from rtc_client import Client, Flash, Tone, eventually
from rtsp_camera import Camera, missing, write_clip, write_streams, write_talk
from test_cameras import Viewer
from test_publish import apart, onsets
from whip_client import Party

IN_STEP = 0.060
"""Seconds: two pictures. ITU-R BT.1359 has people notice 45 ms of early sound and 125 of late."""

WAIT = 40.0
"""While this machine is busy with other things, what is sent together does not arrive together."""

LOOKED_AT = 5
"""Flashes, one a second, of which the median counts: as much as a Client keeps of the sound."""


class Clocks:
    """Of the tracks that a peer receives: the sender's time, in seconds, of an RTP timestamp."""

    def __init__(self, client: Client) -> None:
        self._offsets: dict[str, list[float]] = {"video": [], "audio": []}
        for receiver in client.connection.getReceivers():
            self._follow(receiver)

    def _follow(self, receiver: Any) -> None:
        kind = receiver.track.kind
        rate = {"video": 90_000, "audio": 48_000}[kind]
        handle = receiver._handle_rtcp_packet

        async def note(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket):
                report = packet.sender_info
                # aiortc counts the timestamps of a track from its first.
                origin = receiver._RTCRtpReceiver__timestamp_mapper._origin
                if origin is not None:
                    passed = (report.rtp_timestamp - origin) % 2**32
                    self._offsets[kind].append(report.ntp_timestamp / 2**32 - passed / rate)
            await handle(packet)

        receiver._handle_rtcp_packet = note

    def of(self, frame: av.VideoFrame | av.AudioFrame) -> float:
        kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
        assert frame.pts is not None
        assert frame.time_base is not None
        last = self._offsets[kind][-LOOKED_AT:]
        return float(frame.pts * frame.time_base) + float(np.median(last))

    @property
    def are_known(self) -> bool:
        return all(len(offsets) >= 3 for offsets in self._offsets.values())


def seen_and_heard(client: Client, clocks: Clocks) -> tuple[list[float], list[float]]:
    bright = [
        clocks.of(picture)
        for picture in client.pictures
        if picture.to_ndarray(format="gray").mean() > 120
    ]
    loud = []
    for sound in client.sounds:
        levels = np.abs(sound.to_ndarray()[0].astype(int))[::2]
        if levels.max() > 3_000:
            loud.append(clocks.of(sound) + int(np.argmax(levels > 1_500)) / sound.sample_rate)
    return onsets(bright)[-LOOKED_AT:], onsets(loud)


async def is_in_step(client: Client, clocks: Clocks) -> None:
    await eventually(lambda: clocks.are_known, WAIT)
    found: list[float] = []

    def look() -> bool:
        flashes, beeps = seen_and_heard(client, clocks)
        if min(len(flashes), len(beeps)) < LOOKED_AT:
            return False
        found.append(apart(flashes, beeps))
        return abs(found[-1]) < IN_STEP

    await every_second(look)
    print(f"\nsound {found[-1] * 1e3:+.0f} ms after the picture")


async def every_second(condition: Callable[[], bool]) -> None:
    for _ in range(int(WAIT)):
        if condition():
            return
        await asyncio.sleep(1)
    raise AssertionError(f"not within {WAIT} s")


async def test_a_session_comes_back_in_step(http: Http) -> None:
    tone = Tone()
    client = Client(Flash(tone), tone)
    try:
        await client.connect(http)  # type: ignore[arg-type]
        assert (await client.ask(type="effect", name="none"))["type"] == "ok"
        await is_in_step(client, Clocks(client))
    finally:
        await client.close()


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    assert not missing(), missing()
    camera = Camera(write_streams(tmp_path))
    camera.start()
    yield camera
    camera.kill()


async def test_an_rtsp_camera_is_watched_in_step(http: Http, camera: Camera) -> None:
    await add_camera(http, name="door", url=camera.url("aac"), effect="none")
    await until(http, "door", state="live")
    viewer = Party(watches=("video", "audio"))
    try:
        await viewer.begin(http, "/whep/camera/door")
        await is_in_step(viewer, Clocks(viewer))
    finally:
        await viewer.close()


@pytest.mark.parametrize("door", ["whep", "page"])
async def test_who_is_there_before_the_sound_begins_hears_it(
    http: Http, tmp_path: Path, door: str
) -> None:
    """As of a camera that is switched off, and comes back with its microphone on."""
    silent = write_clip(tmp_path / "silent.mp4")
    films = [silent]

    async def play(request: web.Request) -> web.FileResponse:
        return web.FileResponse(films[-1])

    app = web.Application()
    app.router.add_get("/film.mp4", play)
    async with TestServer(app) as server:
        url = str(server.make_url("/film.mp4"))
        await add_camera(http, name="door", url=url, effect="none")
        await until(http, "door", state="live", sound="")
        viewer: Client
        if door == "whep":
            viewer = party = Party(watches=("video", "audio"))
            await party.begin(http, "/whep/camera/door")
            clocks = Clocks(viewer)
            await viewer.until(lambda: viewer.pictures)
        else:
            viewer = page = Viewer("door", hears=True)
            await page.watch(http)
            clocks = Clocks(viewer)
        try:
            await asyncio.sleep(1)
            assert not viewer.sounds
            films.append(write_talk(tmp_path / "talk.mp4", seconds=40))
            await until(http, "door", sound="aac")
            viewer.pictures.clear()
            await is_in_step(viewer, clocks)
        finally:
            await viewer.close()


async def test_no_sound_is_promised_where_none_is_wanted(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), sound=False)
    viewer = Party(watches=("video", "audio"))
    await viewer.begin(http, "/whep/camera/film")
    _, audio = viewer.connection.getTransceivers()
    assert audio.currentDirection == "inactive"
    await viewer.close()

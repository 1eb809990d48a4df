"""What is to be had of a camera without WebRTC: snapshots, motion JPEG and recordings."""

import asyncio
import json
import socket
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import av
import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, serving, square, state, until
from moving_pictures import moving_frame
from rtc_client import Client, Scene
from rtsp_camera import HEIGHT, WIDTH, scene
from test_publish import write_noise
from whip_client import Party

import stream.cameras
import stream.egress.recording
from stream.egress.recording import make_room
from stream.frames import Frame
from stream.limits import MAX_AGE
from stream.mailbox import Mailbox
from stream.server import mjpeg
from stream.settings import Settings


async def test_a_snapshot_shows_the_picture(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none")
    async with http.get("/cameras/film/snapshot.jpg") as response:
        assert response.content_type == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    share = square(picture).mean()
    assert 0.05 < share < 0.12, "a square of a third of the height"
    blue, green, red = picture[HEIGHT // 2, WIDTH // 2]
    assert (abs(red - 230.0), abs(green - 230.0), abs(blue - 60.0)) < (12, 12, 12)
    for query in ("width=0", "width=x", "width=99999", "fps=-1"):
        async with http.get(f"/cameras/film/mjpeg?{query}") as response:
            assert response.status == 400


async def parts(response: aiohttp.ClientResponse, count: int) -> list[np.ndarray]:
    reader = aiohttp.MultipartReader(response.headers, response.content)
    pictures = []
    for _ in range(count):
        part = await reader.next()
        assert isinstance(part, aiohttp.BodyPartReader)
        data = np.frombuffer(await part.read(), np.uint8)
        pictures.append(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return pictures


async def test_motion_jpeg_of_cameras_and_sessions(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip))
    async with http.get("/cameras/film/mjpeg?width=160&fps=20") as response:
        assert response.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        pictures = await parts(response, 5)
    assert {picture.shape for picture in pictures} == {(120, 160, 3)}
    client = Client(Scene())
    try:
        await client.connect(http)  # type: ignore[arg-type]
        async with http.get(f"/sessions/{client.session}/mjpeg") as response:
            assert (await parts(response, 2))[0].shape == (120, 160, 3)
    finally:
        await client.close()
    async with http.get("/sessions/nothing/mjpeg") as response:
        assert response.status == 404


async def test_a_slow_viewer_of_motion_jpeg_gets_new_pictures(http: Http, tmp_path: Path) -> None:
    noise = write_noise(tmp_path / "noise.mkv")
    await add_camera(http, name="film", url=str(noise), effect="none")
    await until(http, "film", state="live")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    with slow:
        async with asyncio.timeout(30):
            await loop.sock_connect(slow, ("127.0.0.1", http.server.port))
            await loop.sock_sendall(slow, b"GET /cameras/film/mjpeg?fps=30 HTTP/1.0\r\n\r\n")
            await asyncio.sleep(5)
            waited, began = b"", time.monotonic()
            while time.monotonic() - began < 0.2:
                waited += await loop.sock_recv(slow, 65536)
    shown = waited.count(b"Content-Length")
    assert 2 < shown < 25, "the kernel alone would keep forty more"


async def test_motion_jpeg_leaves_out_what_is_too_old() -> None:
    frames: Mailbox[Frame] = Mailbox()
    late = MAX_AGE + 0.1
    frames.put(replace(moving_frame(0), received=time.monotonic() - late))
    at_latest = asyncio.get_running_loop().time() + 0.5
    waiting = asyncio.create_task(mjpeg._next(frames, None, at_latest))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert not waiting.done()
    frames.put(moving_frame(1))
    async with asyncio.timeout(5):
        assert (await waiting).index == 1


async def test_motion_jpeg_of_a_machine_that_is_always_late_shows_one_picture_a_second() -> None:
    frames: Mailbox[Frame] = Mailbox()
    began = asyncio.get_running_loop().time()
    waiting = asyncio.create_task(mjpeg._next(frames, None, began + 0.5))  # type: ignore[arg-type]
    for index in range(100):
        frames.put(replace(moving_frame(index), received=time.monotonic() - MAX_AGE - 0.1))
        await asyncio.sleep(0.02)
        if waiting.done():
            break
    assert waiting.done()
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert (await waiting).index == index, "the newest that there is"


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        found = [picture.pts * picture.time_base for picture in container.decode(video=0)]
    return [float(time) for time in found]


async def test_a_recording_has_the_right_times_and_can_be_read_while_it_grows(
    http: Http, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.egress.recording, "RECORD_FRAGMENT", 0.5)
    await add_camera(http, name="film", url=str(clip), effect="none")
    await until(http, "film", state="live")
    async with http.post("/cameras/film/recording") as response:
        assert response.status == 201
    folder = tmp_path / "recordings" / "film"
    for _ in range(200):
        found = await state(http, "film")
        if found["recording"]["seconds"] > 3:
            break
        await asyncio.sleep(0.05)
    growing = tmp_path / "as-after-a-crash.mp4"
    growing.write_bytes(next(folder.glob("*.mp4")).read_bytes())
    assert times(growing)[-1] > 2
    async with http.delete("/cameras/film/recording") as response:
        assert response.status == 204
    assert (await state(http, "film"))["recording"] is None
    found_times = times(next(folder.glob("*.mp4")))
    assert found_times[0] == 0
    steps = np.diff(found_times)
    # A picture may have been dropped; each of the others is where the film has it.
    assert np.abs(steps * 30 - np.round(steps * 30)).max() < 0.15
    assert np.median(steps) == pytest.approx(1 / 30, abs=1e-3)


async def test_a_camera_of_odd_size_is_watched_and_recorded(http: Http, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mkv"
    with av.open(str(odd), "w") as container:
        stream = container.add_stream("ffv1", rate=30, width=321, height=241)
        for index in range(60):
            picture = av.VideoFrame.from_ndarray(scene(index, 321, 241), "rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode())
    await add_camera(http, name="film", url=str(odd), effect="none")
    await until(http, "film", state="live")
    assert (await http.post("/cameras/film/recording")).status == 201
    viewer = Party(watches=("video",))
    await viewer.begin(http, "/whep/camera/film")
    await viewer.until(lambda: len(viewer.pictures) > 5)
    assert (viewer.pictures[-1].width, viewer.pictures[-1].height) == (320, 240)
    share = square(viewer.pictures[-1].to_ndarray(format="bgr24")).mean()
    assert 0.05 < share < 0.12
    await viewer.close()
    assert (await http.delete("/cameras/film/recording")).status == 204
    [path] = (tmp_path / "recordings" / "film").glob("*.mp4")
    with av.open(str(path)) as container:
        recorded = next(container.decode(video=0))
    assert (recorded.width, recorded.height) == (322, 242)


async def test_recordings_go_on_in_another_file_and_the_oldest_make_room(
    http: Http, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.egress.recording, "RECORD_SECONDS", 0.5)
    await add_camera(http, name="film", url=str(clip), record=True)
    for _ in range(200):
        recording = (await state(http, "film"))["recording"]
        if recording["files"] >= 3:
            break
        await asyncio.sleep(0.05)
    assert recording["files"] >= 3
    folder = tmp_path / "recordings" / "film"
    files = sorted(folder.glob("*.mp4"))
    make_room(folder, files[-1].stat().st_size)
    left = sorted(folder.glob("*.mp4"))
    assert set(left) <= set(files[1:]) | (set(left) - set(files))
    assert files[0] not in left


async def test_a_full_disk_is_told_and_the_picture_goes_on(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.egress.recording, "RECORD_FREE", 2**62)
    monkeypatch.setattr(stream.egress.recording, "RECORD_RETRY", 0.2)
    await add_camera(http, name="film", url=str(clip), record=True)
    for _ in range(200):
        recording = (await state(http, "film"))["recording"]
        if recording["state"] == "stopped":
            break
        await asyncio.sleep(0.05)
    assert "the disk is full" in recording["reason"]
    before = (await state(http, "film"))["pictures"]
    monkeypatch.setattr(stream.egress.recording, "RECORD_FREE", 0)
    for _ in range(200):
        found = await state(http, "film")
        if found["recording"]["state"] == "recording":
            break
        await asyncio.sleep(0.05)
    assert found["recording"]["reason"] == ""
    assert found["pictures"] > before


async def test_nothing_is_recorded_where_the_operator_named_no_folder() -> None:
    async with serving(Settings()) as http:
        await add_camera(http, name="door", url="rtsp://127.0.0.1:1/x", record=True)
        assert "--record" in (await state(http, "door"))["trouble"]
        async with http.post("/cameras/door/recording") as response:
            assert response.status == 400
            assert "--record" in json.dumps(await response.json())

"""Publishing: a camera's composited stream to receivers not of ours, killed and frozen."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, square, state
from own_processes import command_lines
from receiver_process import Process
from rtc_client import Scene, Tone, eventually
from rtsp_camera import HEIGHT, WIDTH, Camera, free_port
from test_metrics import scrape
from whip_client import Party

from stream.cli import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ARTEFACTS = ROOT / "tests" / "artefacts"
WAIT = 40.0

IN_STEP = 0.080
"""Seconds between sound and picture. ITU-R BT.1359 has people notice 45 ms of early sound and 125
of late; a picture takes 33 until the next."""


async def publication(http: Http, name: str = "film") -> dict[str, Any]:
    [found] = (await state(http, name))["publications"]
    return dict(found)


async def until(http: Http, **wanted: object) -> dict[str, Any]:
    """The publication's state once it has these fields."""
    for _ in range(int(WAIT / 0.05)):
        found = await publication(http)
        if all(found[key] == value for key, value in wanted.items()):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} never became {wanted}")


async def sent_more(http: Http, pictures: int = 20) -> None:
    before = (await publication(http))["sent"]
    for _ in range(int(WAIT / 0.05)):
        if (await publication(http))["sent"] >= before + pictures:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {pictures} more: {await publication(http)}")


def share_of_square(picture: np.ndarray) -> float:
    return float(square(picture).mean())


def last_picture(path: Path) -> tuple[int, np.ndarray]:
    """How many pictures a raw H264 file holds, and the last."""
    count, last = 0, None
    with av.open(str(path), format="h264") as file:
        for frame in file.decode(video=0):
            count, last = count + 1, frame.to_ndarray(format="bgr24")
    assert last is not None
    return count, last


def writers() -> int:
    """Processes that publish."""
    return sum("stream.egress.writer" in line for line in command_lines().values())


async def test_rtsp_is_recorded_by_gstreamer_killed_and_found_again(
    http: Http, clip: Path, recorder: Camera, tmp_path: Path
) -> None:
    url = recorder.url("record")
    told = await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
    assert told["publications"][0]["state"] == "connecting"
    await until(http, state="live")
    await sent_more(http, 45)
    recorded = tmp_path / "recorded.h264"
    await eventually(lambda: recorded.stat().st_size > 10_000)
    count, picture = last_picture(recorded)
    cv2.imwrite(str(ARTEFACTS / "published-rtsp.png"), picture)
    assert count > 20
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert 0.05 < share_of_square(picture) < 0.2
    recorder.kill()
    lost = await until(http, state="waiting")
    assert lost["failure"] in ("closed", "unreachable")
    assert lost["retry_in"] is not None
    seen = (await state(http, "film"))["pictures"]
    again = Camera(tmp_path, recorder.port)
    again.start()
    try:
        found = await until(http, state="live")
        assert (found["failure"], found["reason"]) == (None, "")
        assert found["reconnects"] >= 1
        await sent_more(http)
        camera = await state(http, "film")
        assert (camera["state"], camera["reconnects"]) == ("live", 0), "nothing else suffers"
        assert camera["pictures"] > seen
        assert writers() == 1
        assert (await http.delete(f"/cameras/film/publications/{found['id']}")).status == 204
        assert (await state(http, "film"))["publications"] == []
        assert writers() == 0
    finally:
        again.kill()


def write_noise(path: Path) -> Path:
    """What takes megabits: only then the buffers on the way to who reads nothing are soon full."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "qp": "30"}
        for _ in range(30):
            pixels = random.integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "yuv420p")))
        container.mux(stream.encode(None))
    return path


async def test_a_frozen_target_is_given_up_and_holds_up_nobody(
    http: Http, tmp_path: Path, recorder: Camera
) -> None:
    noise = write_noise(tmp_path / "noise.mp4")
    await add_camera(
        http, name="film", url=str(noise), effect="none", publish=[recorder.url("record")]
    )
    await until(http, state="live")
    viewer = Party(watches=("video",))
    await viewer.begin(http, "/whep/camera/film")
    await viewer.until(lambda: viewer.pictures)
    recorder.freeze()
    try:
        lost = await until(http, state="waiting")
        assert lost["failure"] == "silent"
        assert lost["dropped"] > 0
        seen = len(viewer.arrivals["video"])
        await viewer.until(lambda: len(viewer.arrivals["video"]) > seen + 10)
    finally:
        recorder.thaw()
    await until(http, state="live")
    await viewer.close()


async def test_credentials_are_used_and_shown_to_nobody(
    http: Http, clip: Path, recorder: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    right = recorder.url("record-locked", "camera:s3cret@")
    wrong = recorder.url("record-locked", "camera:wr0ng@")
    await add_camera(http, name="film", url=str(clip), publish=[wrong])
    found = await until(http, state="failed")
    assert found["failure"] == "credentials"
    assert found["retry_in"] > 20
    assert (await http.delete(f"/cameras/film/publications/{found['id']}")).status == 204
    async with http.post("/cameras/film/publications", json={"url": right}) as response:
        assert response.status == 201
        told = await response.text()
        assert response.headers["Location"] == "/cameras/film/publications/2"
    await until(http, state="live")
    everything = told + json.dumps(await state(http, "film")) + caplog.text
    everything += "".join(command_lines().values())
    assert "stream.egress.writer" in everything
    assert "s3cret" not in everything
    assert "wr0ng" not in everything
    assert "rtsp://***@127.0.0.1" in everything


async def test_rtmp_is_taken_by_ffmpeg_killed_and_found_again(
    http: Http, clip: Path, tmp_path: Path
) -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/s3cret-key"
    picture = tmp_path / "picture.png"
    receiver = Process("stream_receiver.py", url, str(picture))
    try:
        await eventually(receiver.read)
        await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
        found = await until(http, state="live")
        assert found["url"].endswith("/live/***")
        await eventually(lambda: len(receiver.read()) > 50, WAIT)
        times = [json.loads(line)["seconds"] for line in receiver.lines[1:]]
        assert np.median(np.diff(times)) == pytest.approx(1 / 30, abs=0.02)
        shown = cv2.imread(str(picture))
        assert shown is not None
        cv2.imwrite(str(ARTEFACTS / "published-rtmp.png"), shown)
        assert 0.05 < share_of_square(shown) < 0.2
        receiver.kill()
        await until(http, state="waiting")
        receiver = Process("stream_receiver.py", url, str(picture))
        await until(http, state="live")
        await eventually(lambda: len(receiver.read()) > 20, WAIT)
    finally:
        receiver.kill()


async def test_whip_with_a_token_killed_and_found_again(http: Http, clip: Path) -> None:
    port = free_port()
    receiver = Process("whip_receiver.py", str(port), "s3cret-token")
    base = f"http://127.0.0.1:{port}"
    bearer = {"Authorization": "Bearer s3cret-token"}
    try:
        url = f"http://s3cret-token@127.0.0.1:{port}/whip?session=far&effect=none"
        await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
        found = await until(http, state="live")
        assert "s3cret" not in json.dumps(found)
        async with aiohttp.ClientSession(base) as far:
            viewer = Party(watches=("video",))
            await viewer.begin(far, "/whep/far", **bearer)
            await viewer.until(lambda: len(viewer.pictures) > 20, WAIT)
            shown = viewer.pictures[-1].to_ndarray(format="bgr24")
            cv2.imwrite(str(ARTEFACTS / "published-whip.png"), shown)
            assert 0.05 < share_of_square(shown) < 0.2
            await viewer.close()
            receiver.kill()
            await until(http, state="waiting")
            receiver = Process("whip_receiver.py", str(port), "s3cret-token")
            await until(http, state="live")
            await sent_more(http)
            found = await publication(http)
            await http.delete(f"/cameras/film/publications/{found['id']}")
            # The resource was deleted, so its name is free at once.
            async with far.post("/whep/far", headers=bearer) as response:
                assert response.status == 404
    finally:
        receiver.kill()


async def test_whip_endpoints_that_refuse(http: Http, clip: Path) -> None:
    port = http.port
    await add_camera(http, name="film", url=str(clip))
    for path, failure in (
        ("/whep/nobody", "not_found"),
        ("/whip?effect=sepia", "refused"),
    ):
        url = f"http://127.0.0.1:{port}{path}"
        async with http.post("/cameras/film/publications", json={"url": url}) as response:
            id = (await response.json())["id"]
        await until(http, failure=failure)
        await http.delete(f"/cameras/film/publications/{id}")


async def test_what_cannot_be_published_to_is_told_at_once(
    http: Http, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    await add_camera(http, name="film", url=str(clip))
    for given, text in (
        ({"url": "srt://127.0.0.1"}, "needs a port"),
        ({"url": "ftp://h/a"}, "rtsp://"),
        ({"url": "v4l2:///dev/video9999"}, "v4l2:///dev/video10"),
        ({"url": 5}, "address"),
        ([], "wanted a target"),
    ):
        async with http.post("/cameras/film/publications", json=given) as response:
            assert response.status == 400
            assert text in await response.text()
    for _ in range(4):
        async with http.post(
            "/cameras/film/publications", json={"url": "rtsp://127.0.0.1:1/x"}
        ) as response:
            assert response.status == 201
    async with http.post(
        "/cameras/film/publications", json={"url": "rtsp://127.0.0.1:1/x"}
    ) as response:
        assert response.status >= 400
        assert "4 targets" in await response.text()
    assert (await http.delete("/cameras/film/publications/99")).status == 404
    monkeypatch.setenv("SEGSTREAM_CAMERAS", str(tmp_path / "other.json"))
    assert main(["camera", "add", "film", str(clip), "--publish", "srt://h:9?mode=x"]) == 2
    assert "caller, listener" in capsys.readouterr().err
    key = "rtmp://h/live/s3cret"
    assert main(["camera", "add", "film", str(clip), "--publish", key]) == 0
    assert main(["camera", "list"]) == 0
    printed = capsys.readouterr().out
    assert "publish=rtmp://h/live/***" in printed
    assert "s3cret" not in printed


async def test_the_publications_of_a_camera_end_with_it(
    http: Http, clip: Path, recorder: Camera
) -> None:
    await add_camera(http, name="film", url=str(clip), publish=[recorder.url("record")])
    await until(http, state="live")
    assert writers() == 1
    assert (await scrape(http))["segstream_publications", "live"] == 1
    assert (await http.delete("/cameras/film")).status == 204
    assert writers() == 0
    assert (await scrape(http))["segstream_publications", "live"] == 0


async def begin_session(http: Http, video: Scene, tone: Tone | None) -> Party:
    publisher = Party(*(track for track in (video, tone) if track is not None))
    await publisher.begin(http, "/whip?session=studio&effect=none")
    return publisher


async def publish_session(http: Http, url: str) -> None:
    async with http.post("/sessions/studio/publications", json={"url": url}) as response:
        assert response.status == 201


async def session_until(http: Http, **wanted: object) -> dict[str, Any]:
    """As `until`, of the session."""
    for _ in range(int(WAIT / 0.05)):
        async with http.get("/sessions/studio/publications") as response:
            [found] = (await response.json())["publications"]
        if all(found[key] == value for key, value in wanted.items()):
            return dict(found)
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} never became {wanted}")


def apart(flashes: list[float], beeps: list[float]) -> float:
    """Seconds from the flashes to the beeps, both of which come once a second: the median."""
    assert flashes
    assert beeps
    return float(
        np.median([min((beep - flash for beep in beeps), key=abs) for flash in flashes[1:-1]])
    )


def onsets(times: list[float]) -> list[float]:
    """The first of each second's."""
    return [time for last, time in zip([-9.0, *times], times, strict=False) if time - last > 0.5]


def parsed(receiver: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in receiver.read()[1:]]


async def is_in_step(receiver: Process) -> None:
    """After six seconds of what tests/stream_receiver.py tells of `Flash` and `Tone`."""

    def heard() -> tuple[list[float], list[float]]:
        told = parsed(receiver)
        bright = [one["seconds"] for one in told if one.get("brightness", 0) > 120]
        loud = [one["loud"] for one in told if one.get("loud") is not None]
        return onsets(bright)[-6:], onsets(loud)[-7:]

    await eventually(lambda: min(map(len, heard())) > 5, WAIT)
    # What arrives together is together: while this machine is busy with other things, it does not.
    await eventually(lambda: abs(apart(*heard())) < IN_STEP, WAIT)
    print(f"\nsound {apart(*heard()) * 1e3:+.0f} ms after the picture")
    times = [one["sound"] for one in parsed(receiver) if "sound" in one]
    assert np.median(np.diff(times)) == pytest.approx(1024 / 48_000, abs=0.002)

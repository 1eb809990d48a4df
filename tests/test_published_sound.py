"""The sound of what is published, in step with the picture: of sessions, which have microphones."""

import asyncio
from pathlib import Path

import pytest
from camera_server import Http, serving
from receiver_process import Process
from rtc_client import Flash, Scene, Tone, eventually
from rtsp_camera import Camera, free_port
from test_publish import (
    WAIT,
    begin_session,
    is_in_step,
    parsed,
    publish_session,
    session_until,
)
from test_recorded_sound import is_in_step_at_last
from whip_client import Party

from stream.settings import Settings

pytestmark = pytest.mark.slow

WITHOUT_CNAME = 0.125
"""GStreamer puts streams in step by sender reports with a CNAME, which FFmpeg's muxer leaves out:
there what arrives together is together, and sound comes 0.03 s later, more on a busy machine."""


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
async def test_sound_is_in_step_with_the_picture_also_the_second_time(
    http: Http, tmp_path: Path, scheme: str
) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}/live/key"
    receiver = Process("stream_receiver.py", url, str(tmp_path / "picture.png"))
    tone = Tone()
    source = await begin_session(http, Flash(tone), tone)
    try:
        await eventually(receiver.read)
        await publish_session(http, url)
        assert (await session_until(http, state="live"))["sound"]
        await is_in_step(receiver)
        receiver.kill()
        await session_until(http, state="waiting")
        receiver = Process("stream_receiver.py", url, str(tmp_path / "picture.png"))
        assert (await session_until(http, state="live"))["sound"]
        await is_in_step(receiver)
    finally:
        receiver.kill()
        await source.close()


async def test_gstreamer_records_the_sound(http: Http, recorder: Camera, tmp_path: Path) -> None:
    tone = Tone()
    source = await begin_session(http, Flash(tone), tone)
    try:
        await eventually(lambda: tone.sent > 30)
        await publish_session(http, recorder.url("record-sound"))
        assert (await session_until(http, state="live"))["sound"]
        await is_in_step_at_last(
            lambda: list(tmp_path.glob("recorded.mkv")), tmp_path / "growing.mkv", WITHOUT_CNAME
        )
        async with http.delete("/sessions/studio/publications/1") as response:
            assert response.status == 204
    finally:
        await source.close()


async def test_a_session_without_sound_is_published_without(http: Http, tmp_path: Path) -> None:
    """Until it has some: then the target is connected to anew, once."""
    url = f"rtmp://127.0.0.1:{free_port()}/live/key"
    receiver = Process("stream_receiver.py", url, str(tmp_path / "picture.png"))
    tone = Tone()
    tone.playing.clear()
    source = await begin_session(http, Scene(), tone)
    try:
        await eventually(receiver.read)
        await publish_session(http, url)
        assert not (await session_until(http, state="live"))["sound"]
        await eventually(lambda: len(parsed(receiver)) > 30, WAIT)
        assert not any("sound" in one for one in parsed(receiver))
        tone.playing.set()
        await session_until(http, sound=True)
        receiver.kill()
        receiver = Process("stream_receiver.py", url, str(tmp_path / "picture.png"))
        await session_until(http, sound=True, state="live")
        await eventually(lambda: any("sound" in one for one in parsed(receiver)), WAIT)
        assert any("seconds" in one for one in parsed(receiver))
    finally:
        receiver.kill()
        await source.close()


async def test_a_session_is_published_with_its_sound_and_ends(tmp_path: Path) -> None:
    settings, bearer = Settings(token="s3cret-token"), {"Authorization": "Bearer s3cret-token"}
    async with serving(settings) as http:
        publisher = Party(Scene(), Tone())
        await publisher.begin(http, "/whip?session=studio&effect=none", **bearer)
        path = "/sessions/studio/publications"
        whip = f"http://s3cret-token@127.0.0.1:{http.port}/whip?session=far&effect=none"
        async with http.post(path, json={"url": whip}) as response:
            assert response.status == 401
        device = {"url": "v4l2:///dev/video10"}
        async with http.post(path, json=device, headers=bearer) as response:
            assert response.status == 400
        async with http.post(path, json={"url": whip}, headers=bearer) as response:
            assert response.status == 201
            assert response.headers["Location"] == f"{path}/1"

        async def phase() -> str:
            async with http.get(path, headers=bearer) as response:
                [found] = (await response.json())["publications"]
                return str(found["state"])

        for _ in range(400):
            if await phase() == "live":
                break
            await asyncio.sleep(0.05)
        viewer = Party(watches=("video", "audio"))
        await viewer.begin(http, "/whep/far", **bearer)
        await viewer.until(lambda: len(viewer.pictures) > 5 and len(viewer.sounds) > 10, WAIT)
        assert (await http.delete("/whip/studio", headers=bearer)).status == 200
        async with http.get(path, headers=bearer) as response:
            assert response.status == 404
        assert (await http.post("/whep/far", headers=bearer)).status == 404
        await viewer.close()
        await publisher.close()

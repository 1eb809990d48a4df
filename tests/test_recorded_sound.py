"""Recordings with sound: in step by their own times, across reconnects, and after a crash."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from camera_server import Http, add_camera, serving, state, until
from rtc_client import Client, Flash, Scene, Tone
from rtsp_camera import Camera, missing, write_streams, write_talk
from test_cameras import Viewer
from test_publish import apart, onsets
from whip_client import Party

import stream.egress.recording
from stream.egress.recording import make_room
from stream.settings import Settings

IN_STEP = 0.060
"""Seconds: two pictures."""


class Recorded:
    """When the pictures of a recording flash and when it beeps, by its own times; and the times of
    its pictures and of its sound."""

    def __init__(self, path: Path) -> None:
        bright, loud = [], []
        self.pictures: list[float] = []
        self.sounds: list[float] = []
        with av.open(str(path)) as file:
            self.codecs = [stream.codec_context.name for stream in file.streams]
            for frame in file.decode():
                assert frame.pts is not None
                assert frame.time_base is not None
                seconds = float(frame.pts * frame.time_base)
                if isinstance(frame, av.VideoFrame):
                    self.pictures.append(seconds)
                    if frame.to_ndarray(format="gray").mean() > 120:
                        bright.append(seconds)
                elif isinstance(frame, av.AudioFrame):
                    self.sounds.append(seconds)
                    levels = np.abs(frame.to_ndarray()[0])
                    if levels.max() > 0.1:
                        loud.append(seconds + int(np.argmax(levels > 0.05)) / frame.sample_rate)
        self.flashes, self.beeps = onsets(bright), onsets(loud)

    def is_in_step(self) -> None:
        print(f"\nsound {apart(self.flashes, self.beeps) * 1e3:+.0f} ms after the picture")
        assert abs(apart(self.flashes, self.beeps)) < IN_STEP


async def is_in_step_at_last(files: Callable[[], list[Path]], copy: Path, within: float) -> None:
    """Looks at the last seconds of a file that grows, if there is one, again and again: while this
    machine is busy, what is sent together does not arrive together."""

    def look() -> bool:
        found = files()
        if not found or found[0].stat().st_size < 20_000:
            return False
        copy.write_bytes(found[0].read_bytes())
        recorded = Recorded(copy)
        if min(len(recorded.flashes), len(recorded.beeps)) < 5:
            return False
        off = apart(recorded.flashes[-5:], recorded.beeps)
        print(f"\nsound {off * 1e3:+.0f} ms after the picture")
        return abs(off) < within

    for _ in range(40):
        if look():
            return
        await asyncio.sleep(1)
    raise AssertionError("never in step")


async def recorded_for(http: Http, name: str, seconds: float) -> None:
    for _ in range(1200):
        recording = (await state(http, name))["recording"]
        if recording["sound"] and recording["seconds"] > seconds:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(recording)


async def test_a_growing_file_has_its_sound_in_step(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.egress.recording, "RECORD_FRAGMENT", 0.5)
    film = str(write_talk(tmp_path / "talk.mp4", seconds=20))
    await add_camera(http, name="film", url=film, effect="none", record=True)
    await recorded_for(http, "film", 6)
    [path] = (tmp_path / "recordings" / "film").glob("*.mp4")
    growing = tmp_path / "as-after-a-crash.mp4"
    growing.write_bytes(path.read_bytes())
    found = Recorded(growing)
    assert found.codecs == ["h264", "aac"]
    assert found.pictures[-1] > 4
    found.is_in_step()
    async with http.delete("/cameras/film/recording") as response:
        assert response.status == 204
    found = Recorded(path)
    found.is_in_step()
    assert abs(found.pictures[-1] - found.sounds[-1]) < 0.3
    steps = np.diff(found.sounds)[1:]
    assert steps.min() > 0
    # Whoever is kept from reading the film in time leaves out some of its sound.
    assert (np.abs(steps - 1024 / 48_000) < 0.002).mean() > 0.95


async def test_a_camera_that_comes_back_is_recorded_with_the_right_times(
    http: Http, tmp_path: Path
) -> None:
    assert not missing(), missing()
    camera = Camera(write_streams(tmp_path))
    camera.start()
    try:
        await add_camera(http, name="door", url=camera.url("aac"), effect="none", record=True)
        await recorded_for(http, "door", 4)
        camera.kill()
        await until(http, "door", state="waiting")
        before = (await state(http, "door"))["recording"]["seconds"]
        camera.start()
        await until(http, "door", state="live")
        await recorded_for(http, "door", before + 5)
    finally:
        camera.kill()
    assert (await http.delete("/cameras/door")).status == 204
    [path] = (tmp_path / "recordings" / "door").glob("*.mp4")
    found = Recorded(path)
    gap = int(np.argmax(np.diff(found.pictures)))
    left, back = found.pictures[gap : gap + 2]
    assert back - left > 0.3
    print(f"\naway for {back - left:.2f} s")
    for begin, end in ((0.0, left), (back, found.pictures[-1])):
        flashes = [time for time in found.flashes if begin + 0.2 < time < end - 0.2]
        beeps = [time for time in found.beeps if begin - 0.2 < time < end + 0.2]
        off = [min((beep - flash for beep in beeps), key=abs) for flash in flashes]
        print(f"sound {np.median(off) * 1e3:+.0f} ms after the picture")
        assert len(off) > 1
        assert abs(float(np.median(off))) < IN_STEP
    silent = [time for time in found.sounds if left + 0.3 < time < back - 0.1]
    assert not silent, "nor is there sound where there was none"


async def test_a_silent_camera_is_recorded_without(http: Http, clip: Path, tmp_path: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none", record=True)
    await until(http, "film", sound="")
    for _ in range(400):
        if (await state(http, "film"))["recording"]["seconds"] > 1:
            break
        await asyncio.sleep(0.05)
    assert (await http.delete("/cameras/film")).status == 204
    [path] = (tmp_path / "recordings" / "film").glob("*.mp4")
    assert Recorded(path).codecs == ["h264"]


async def test_a_session_is_recorded_with_its_sound(http: Http, tmp_path: Path) -> None:
    tone = Tone()
    source = Party(Flash(tone), tone)
    await source.begin(http, "/whip?session=studio&effect=none")
    try:
        path = "/sessions/studio/recording"
        async with http.get(path) as response:
            assert await response.json() == {"possible": True, "allowed": True, "recording": None}
        async with http.post(path) as response:
            assert response.status == 201
        folder = tmp_path / "recordings" / "_sessions" / "studio"
        growing = tmp_path / "growing.mp4"
        await is_in_step_at_last(lambda: sorted(folder.glob("*.mp4"))[-1:], growing, IN_STEP)
        async with http.get(path) as response:
            told = (await response.json())["recording"]
        assert (told["state"], told["sound"]) == ("recording", True)
        assert (await http.delete("/whip/studio")).status == 200
        last = sorted(folder.glob("*.mp4"))[-1]
        assert last.stat().st_size > growing.stat().st_size, "it was finished"
        assert Recorded(last).pictures
        assert (await http.get(path)).status == 404
    finally:
        await source.close()


async def test_who_watches_a_camera_records_the_camera(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none")
    viewer = Viewer("film")
    try:
        await viewer.watch(http)
        async with http.post(f"/sessions/{viewer.session}/recording") as response:
            assert response.status == 404
            assert "camera itself" in await response.text()
        async with http.get("/cameras/film/recording") as response:
            assert await response.json() == {"possible": True, "allowed": True, "recording": None}
    finally:
        await viewer.close()


async def test_no_session_is_recorded_where_the_operator_named_no_folder() -> None:
    async with serving(Settings()) as http:
        client = Client(Scene())
        try:
            await client.connect(http)  # type: ignore[arg-type]
            path = f"/sessions/{client.session}/recording"
            async with http.get(path) as response:
                assert await response.json() == {
                    "possible": False,
                    "allowed": True,
                    "recording": None,
                }
            async with http.post(path) as response:
                assert response.status == 400
                assert "--record" in await response.text()
            assert (await http.delete(path)).status == 204
        finally:
            await client.close()
        assert (await http.post("/sessions/nobody/recording")).status == 404


def test_the_sessions_share_one_limit(tmp_path: Path) -> None:
    files = []
    for number, session in enumerate(("b", "a", "b")):
        files.append(tmp_path / session / f"2026-01-0{number + 1}.mp4")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_bytes(bytes(100))
    make_room(tmp_path, 200)
    assert [file.exists() for file in files] == [False, True, True]

"""Cameras over the API, and what goes on behind it with a file as camera."""

import asyncio
from pathlib import Path
from typing import Any

import av
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from camera_server import SECRET, Http, add_camera, serving, state, until
from rtc_client import Client, Scene, Tone, eventually
from rtsp_camera import HEIGHT, WIDTH, write_talk

from stream.cameras import CameraConfig, CameraFile, add, remove
from stream.server.cameras import CAMERAS
from stream.session import Session
from stream.settings import Settings


async def test_a_camera_says_from_the_first_which_effect_it_has(http: Http, clip: Path) -> None:
    told = await add_camera(http, name="film", url=str(clip), effect="blur")
    assert told["effect"] == "blur"
    for _ in range(5):
        assert (await state(http, "film"))["effect"] == "blur"
        await asyncio.sleep(0.05)


async def test_a_camera_comes_lives_and_goes(http: Http, clip: Path) -> None:
    told = await add_camera(http, name="film", url=str(clip), effect="blur")
    assert (told["name"], told["state"]) == ("film", "connecting")
    live = await until(http, "film", state="live")
    assert (live["width"], live["height"], live["reason"]) == (WIDTH, HEIGHT, "")
    async with http.get("/cameras") as response:
        assert [camera["name"] for camera in (await response.json())["cameras"]] == ["film"]
    async with http.post("/cameras", json={"name": "film", "url": str(clip)}) as response:
        assert response.status == 400
    async with http.delete("/cameras/film") as response:
        assert response.status == 204
    for method in (http.get, http.delete):
        async with method("/cameras/film") as response:
            assert response.status == 404


async def test_no_answer_and_no_log_line_holds_a_password(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await add_camera(http, name="door", url=SECRET)
    found = await until(http, "door", state="waiting", failure="unreachable")
    assert found["retry_in"] is not None
    assert "cannot be reached" in found["reason"]
    async with http.get("/cameras") as response:
        assert "s3cret" not in await response.text()
    assert "s3cret" not in caplog.text
    assert found["url"] == "rtsp://***@127.0.0.1:1/live?***"


async def test_no_picture_comes_before_the_effect_is_set(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_begin = asyncio.Event()
    begin_with = Session.begin_with

    async def late(session: Session, *arguments: Any) -> None:
        await may_begin.wait()
        await begin_with(session, *arguments)

    monkeypatch.setattr(Session, "begin_with", late)
    await add_camera(http, name="film", url=str(clip), effect="colour")
    await asyncio.sleep(1.5)
    assert (await state(http, "film"))["pictures"] == 0
    may_begin.set()
    found = await until(http, "film", state="live")
    assert found["effect"] == "colour"


async def test_files_are_not_for_everybody(clip: Path) -> None:
    async with serving(Settings()) as http:
        async with http.post("/cameras", json={"name": "film", "url": str(clip)}) as response:
            assert response.status == 400
            assert "command line" in (await response.json())["error"]["message"]
        async with http.post("/cameras", data=b"{}") as response:
            assert response.status == 415
        async with http.post("/cameras", json=[1]) as response:
            assert response.status == 400


async def test_a_changed_file_is_followed_and_a_damaged_one_changes_nothing(
    http: Http, tmp_path: Path, clip: Path
) -> None:
    path = tmp_path / "settings" / "cameras.json"
    file = CameraFile(path)
    file.update(add(CameraConfig("film", str(clip))))

    async def listed() -> dict[str, Any]:
        async with http.get("/cameras") as response:
            return dict(await response.json())

    async def becomes(names: list[str], *, error: bool = False) -> None:
        for _ in range(200):
            found = await listed()
            if [camera["name"] for camera in found["cameras"]] == names and error == bool(
                found["file_error"]
            ):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(found)

    await becomes(["film"])
    kept = path.read_text()
    path.write_text("{")
    await becomes(["film"], error=True)
    path.write_text(kept)
    await becomes(["film"])
    file.update(remove("film"))
    await becomes([])


async def test_what_the_api_adds_is_there_after_a_restart(tmp_path: Path, clip: Path) -> None:
    settings = Settings(cameras=tmp_path / "cameras.json", camera_files=True)
    async with serving(settings) as http:
        await add_camera(http, name="film", url=str(clip))
    async with serving(settings) as http:
        await until(http, "film", state="live")


async def test_a_film_that_is_played_once_ends(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), loop=False)
    ended = await until(http, "film", state="ended")
    # What is overtaken on the way is told with the next picture, and after the last comes none.
    assert 58 <= ended["pictures"] + ended["dropped"] <= 60
    assert ended["clock_jumps"] == 0


async def test_a_file_that_is_no_video_is_told(http: Http, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    await add_camera(http, name="bad", url=str(tmp_path / "a.mp4"))
    found = await until(http, "bad", state="failed")
    assert found["failure"] == "no_video"


async def test_a_word_that_is_not_known_is_told(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), text="unicorn")
    for _ in range(100):
        if "word" in (await state(http, "film"))["trouble"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not told")


class Viewer(Client):
    """Only watches a camera."""

    def __init__(self, camera: str, *, hears: bool = False) -> None:
        super().__init__(Scene())
        self._camera = camera
        self._kinds = ("video", "audio") if hears else ("video",)

    async def watch(self, http: Http) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in self._kinds:
            self.connection.addTransceiver(kind, "recvonly")
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", self._on_message)
        self.connection.on("track", self._on_track)
        offer = {**await self.offer(), "camera": self._camera}
        async with http.post("/rtc", json=offer) as response:
            body = await response.json()
            assert response.status == 200, body
        await self.take(body)
        await self.until(lambda: self.pictures and self.told("hello"))


async def test_viewers_watch_and_point_and_the_camera_goes_on_without_them(
    http: Http, clip: Path
) -> None:
    await add_camera(http, name="film", url=str(clip))
    await until(http, "film", state="live")
    first, second = Viewer("film"), Viewer("film")
    try:
        await first.watch(http)
        await second.watch(http)
        assert first.told("hello")[0]["session"] == "camera/film"
        answer = await first.ask(type="point", x=WIDTH / 2, y=HEIGHT / 2)
        assert answer["type"] == "ok"
        await second.until(lambda: second.told("state") and second.told("state")[-1]["objects"])
        assert not second.told("ok"), "answers go to the one who asked"
        answer = await second.ask(type="effect", name="colour", colour="#0000ff")
        assert answer["type"] == "ok"
        await first.until(lambda: first.told("state")[-1]["effect"]["name"] == "colour")
        await first.until(lambda: first.told("camera") and first.told("camera")[-1]["fps"] > 0)
        await first.until(lambda: is_blue_around(first.pictures[-1]))
    finally:
        await first.close()
        await second.close()
    async with http.delete(f"/rtc/{first.session}") as response:
        assert response.status in (204, 404)
    found = await state(http, "film")
    for _ in range(400):
        later = await state(http, "film")
        if later["pictures"] > found["pictures"] + 5:
            break
        await asyncio.sleep(0.05)
    assert later["pictures"] > found["pictures"] + 5
    assert later["objects"] == 1, "what was pointed at stays tracked"


async def test_what_a_viewer_sends_is_nothing_of_the_cameras(http: Http, tmp_path: Path) -> None:
    """Nor can anybody speak into it."""
    await add_camera(http, name="film", url=str(write_talk(tmp_path / "a.mp4", seconds=4)))
    await until(http, "film", state="live")
    client = Client(Scene(640, 480), Tone())
    try:
        offer = {**await client.offer(), "camera": "film"}
        async with http.post("/rtc", json=offer) as response:
            body = await response.json()
            assert response.status == 200, body
        await client.take(body)
        await client.until(lambda: len(client.pictures) > 30 and len(client.sounds) > 50)
        assert {(each.width, each.height) for each in client.pictures} == {(WIDTH, HEIGHT)}
        assert [each.currentDirection for each in client.connection.getTransceivers()] == [
            "recvonly",
            "recvonly",
        ]
        camera = http.server.app[CAMERAS].get("film")  # type: ignore[attr-defined]
        assert camera.session._size == (WIDTH, HEIGHT)
    finally:
        await client.close()


def is_blue_around(picture: av.VideoFrame) -> bool:
    red, _, blue = picture.to_ndarray(format="rgb24")[4, 4]
    return bool(blue > 180 and red < 80)


async def test_who_watches_what_is_not_there_is_refused(http: Http) -> None:
    client = Client(Scene())
    offer = {**await client.offer(), "camera": "nothing"}
    async with http.post("/rtc", json=offer) as response:
        assert response.status == 404
    await client.close()


async def test_a_camera_that_is_removed_ends_its_viewers_pictures(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip))
    viewer = Viewer("film")
    try:
        await viewer.watch(http)
        async with http.delete("/cameras/film") as response:
            assert response.status == 204
        await eventually(lambda: viewer.channel.readyState == "closed")
    finally:
        await viewer.close()

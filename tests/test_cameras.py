"""Cameras: the file they are kept in, the API, and what goes on behind it with a file as camera."""

import asyncio
import json
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiortc import RTCConfiguration, RTCPeerConnection
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene, eventually
from rtsp_camera import HEIGHT, WIDTH, write_clip

import stream.cameras
import stream.egress.recording
from stream.cameras import CameraConfig, CameraFile, add, default_path, read_config, remove
from stream.cli import main
from stream.egress.recording import make_room
from stream.errors import InputError, LimitError
from stream.server.app import create_app
from stream.session import Session
from stream.settings import Settings

Http = TestClient[Any, Any]
SECRET = "rtsp://admin:s3cret@127.0.0.1:1/live?token=s3cret"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    settings = Settings(
        cameras=tmp_path / "settings" / "cameras.json",
        camera_files=True,
        record=tmp_path / "recordings",
    )
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as client:
        yield client


async def state(http: Http, name: str) -> dict[str, Any]:
    async with http.get(f"/cameras/{name}") as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def until(http: Http, name: str, **wanted: object) -> dict[str, Any]:
    """The camera's state once it has these fields."""
    for _ in range(400):
        found = await state(http, name)
        if all(found[key] == value for key, value in wanted.items()):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} never became {wanted}")


async def add_camera(http: Http, **given: object) -> dict[str, Any]:
    async with http.post("/cameras", json=given) as response:
        body = await response.json()
        assert response.status == 201, body
        return dict(body)


def square(picture: np.ndarray) -> np.ndarray:
    """Where the scene's bright square is: bool [H, W]."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) > 120)


async def test_a_camera_says_from_the_first_which_effect_it_has(http: Http, clip: Path) -> None:
    told = await add_camera(http, name="film", url=str(clip), effect="blur")
    assert told["effect"] == "blur"
    for _ in range(5):
        assert (await state(http, "film"))["effect"] == "blur"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"name": "a"},
        {"url": "rtsp://h/a"},
        {"name": "../a", "url": "rtsp://h/a"},
        {"name": "a" * 41, "url": "rtsp://h/a"},
        {"name": "a", "url": "ftp://h/a"},
        {"name": "a", "url": 5},
        {"name": "a", "url": "rtsp://h/a", "colour": "red"},
        {"name": "a", "url": "rtsp://h/a", "loop": 1},
        {"name": "a", "url": "rtsp://h/a", "effect": "sepia"},
        {"name": "a", "url": "rtsp://h/a", "effect": "picture"},
        {"name": "a", "url": "rtsp://h/a", "transport": "quic"},
        {"name": "a", "url": "rtsp://h/a", "text": "x" * 61},
    ],
)
def test_cameras_that_are_refused(given: object) -> None:
    with pytest.raises(InputError):
        read_config(given, files=True)


def test_the_file_keeps_cameras_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = CameraFile(tmp_path / "new" / "cameras.json")
    assert (file.read(), file.stamp) == ({}, None)
    camera = read_config({"name": "door", "url": SECRET, "effect": "blur"}, files=False)
    file.update(add(camera))
    assert file.read() == {"door": camera}
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="already"):
        file.update(add(camera))
    before = file.stamp
    file.update(remove("door"))
    assert file.read() == {}
    assert file.stamp != before
    with pytest.raises(InputError, match="no camera door"):
        file.update(remove("door"))
    assert sorted(path.name for path in file.path.parent.iterdir()) == [
        ".cameras.json.lock",
        "cameras.json",
    ]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"cameras": [5]}', '{"cameras": 5}', "[" * 9999]
)
def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)):
        CameraFile(path).update(add(CameraConfig("a", "rtsp://h/a")))
    assert path.read_text() == text


def test_the_file_holds_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.cameras, "MAX_CAMERAS", 1)
    file = CameraFile(tmp_path / "cameras.json")
    file.update(add(CameraConfig("a", "rtsp://h/a")))
    with pytest.raises(LimitError):
        file.update(add(CameraConfig("b", "rtsp://h/b")))


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    file = CameraFile(tmp_path / "cameras.json")
    threads = [
        threading.Thread(target=file.update, args=(add(CameraConfig(f"c{i}", "rtsp://h/a")),))
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(file.read()) == 12


def test_where_the_file_is() -> None:
    assert default_path({"SEGSTREAM_CAMERAS": "/a/b.json"}) == Path("/a/b.json")
    found = default_path({"XDG_CONFIG_HOME": "/config"}, "linux")
    assert found == Path("/config/segstream/cameras.json")
    assert "Application Support" in str(default_path({}, "darwin"))


def test_the_command(
    tmp_path: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SEGSTREAM_CAMERAS", str(tmp_path / "cameras.json"))
    assert main(["camera", "list"]) == 0
    assert "no cameras" in capsys.readouterr().out
    assert main(["camera", "add", "door", SECRET, "--effect", "blur", "--text", "person"]) == 0
    assert main(["camera", "add", "film", str(clip), "--no-loop", "--record"]) == 0
    assert main(["camera", "list"]) == 0
    printed = capsys.readouterr().out
    assert "rtsp://***@127.0.0.1:1/live?***" in printed
    assert "effect=blur text=person" in printed
    assert "s3cret" not in printed
    assert main(["camera", "add", "door", SECRET]) == 2
    assert main(["camera", "add", "gone", str(clip) + ".gone"]) == 2
    assert main(["camera", "remove", "door"]) == 0
    assert main(["camera", "remove", "door"]) == 2
    assert "s3cret" not in capsys.readouterr().err
    assert list(CameraFile(tmp_path / "cameras.json").read()) == ["film"]


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
    async with TestClient(TestServer(create_app(Settings(), bright_supervisor()))) as http:
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
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as http:
        await add_camera(http, name="film", url=str(clip))
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as http:
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

    def __init__(self, camera: str) -> None:
        super().__init__(Scene())
        self._camera = camera

    async def watch(self, http: Http) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTransceiver("video", "recvonly")
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
    await asyncio.sleep(0.3)
    later = await state(http, "film")
    assert later["pictures"] > found["pictures"]
    assert later["objects"] == 1, "what was pointed at stays tracked"


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
    async with TestClient(TestServer(create_app(Settings(), bright_supervisor()))) as http:
        await add_camera(http, name="door", url="rtsp://127.0.0.1:1/x", record=True)
        assert "--record" in (await state(http, "door"))["trouble"]
        async with http.post("/cameras/door/recording") as response:
            assert response.status == 400
            assert "--record" in json.dumps(await response.json())

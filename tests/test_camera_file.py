"""The file that cameras are kept in: what may stand there, and the command that changes it."""

import stat
import threading
from pathlib import Path

import pytest
from camera_server import SECRET

import stream.cameras
import stream.egress.recording
from stream.cameras import CameraConfig, CameraFile, add, default_path, read_config, remove
from stream.cli import main
from stream.errors import InputError, LimitError


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

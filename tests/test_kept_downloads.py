"""The addresses of recordings outlast the server, and nothing else becomes reachable by them."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from camera_server import add_camera, serving

from stream.egress.recording import Written
from stream.limits import DOWNLOADABLE_FOR, MAX_DOWNLOADABLE, RECORD_REMEMBERED
from stream.server import kept_downloads
from stream.server.downloads import Downloads
from stream.server.kept_downloads import FOLDER
from stream.settings import Settings


def recorded(records: Path, name: str = "door/2026-01-31T12-00-00.000Z.mp4") -> Path:
    path = records / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"film")
    return path


def secret(address: str) -> str:
    return address.rpartition("/")[2]


async def restarted(records: Path, now: float | None = None) -> Downloads:
    downloads = Downloads(records, time.time if now is None else lambda: now)
    await downloads.load()
    return downloads


def kept(records: Path) -> Iterator[Path]:
    return (records / FOLDER).iterdir()


async def test_a_server_that_starts_again_still_sends_them(settings: Settings, clip: Path) -> None:
    async with serving(settings) as http:
        await add_camera(http, name="film", url=str(clip), effect="none")
        async with http.post("/cameras/film/recording") as response:
            downloads = (await response.json())["downloads"]
        for _ in range(400):
            if files := (await (await http.get(downloads)).json())["files"]:
                break
            await asyncio.sleep(0.05)
    async with serving(settings) as http:  # which reads the camera's film again
        async with http.get(downloads) as response:
            told = await response.json()
        assert told["ended"]
        assert [file["name"] for file in told["files"]] == [file["name"] for file in files]
        async with http.get(files[0]["url"]) as response:
            assert (await response.read())[4:8] == b"ftyp"
        assert (await http.get(downloads + "x")).status == 404
        assert (await http.get(f"/recordings/{FOLDER}/x")).status == 404


async def test_the_folder_tells_no_address_and_nobody_else(tmp_path: Path) -> None:
    downloads, written = Downloads(tmp_path), Written()
    written.add(recorded(tmp_path))
    address = await downloads.offer(written)
    [file] = kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert secret(address) not in file.name + file.read_text()
    assert (await restarted(tmp_path)).find(secret(address)).paths == written.paths


async def test_what_went_on_when_the_server_died_ended_with_its_last_file(tmp_path: Path) -> None:
    downloads, written = Downloads(tmp_path), Written()
    address = await downloads.offer(written)
    for minute in range(2):
        path = recorded(tmp_path, f"_sessions/s/2026-01-31T12-{minute:02}-00.000Z.mp4")
        os.utime(path, (0, 1000 + minute))
        written.add(path)
    found = (await restarted(tmp_path, 1001 + DOWNLOADABLE_FOR)).find(secret(address))
    assert (found.ended, list(found.paths)) == (1001.0, list(written.paths))
    with pytest.raises(web.HTTPNotFound):
        (await restarted(tmp_path, 1002 + DOWNLOADABLE_FOR)).find(secret(address))
    assert not list(kept(tmp_path)), "what is over is forgotten"


async def test_what_has_no_file_left_is_forgotten(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path)
    gone, half = Written(), Written()
    gone.add(recorded(tmp_path, "door/1.mp4"))
    half.add(recorded(tmp_path, "door/2.mp4"))
    half.add(recorded(tmp_path, "door/3.mp4"))
    addresses = [await downloads.offer(each) for each in (gone, half)]
    for each in (gone, half):
        each.end()
        each.paths[0].unlink()
    again = await restarted(tmp_path)
    with pytest.raises(web.HTTPNotFound):
        again.find(secret(addresses[0]))
    assert again.find(secret(addresses[1])).ended == half.ended
    assert len(list(kept(tmp_path))) == 1


async def test_no_more_are_kept_than_are_offered(tmp_path: Path) -> None:
    downloads, path = Downloads(tmp_path), recorded(tmp_path)
    written = [Written(began=float(index)) for index in range(MAX_DOWNLOADABLE + 2)]
    for each in written:
        each.add(path)
        await downloads.offer(each)
    written[0].add(path)  # it goes on, and no longer can be fetched
    written[0].end()
    assert len(list(kept(tmp_path))) == MAX_DOWNLOADABLE
    for extra in range(2):
        (tmp_path / FOLDER / f"{extra:064x}.json").write_text(
            json.dumps({"began": -1, "ended": time.time(), "files": ["door/" + path.name]})
        )
    again = await restarted(tmp_path)
    with pytest.raises(web.HTTPNotFound):
        again.find("0")
    assert len(list(kept(tmp_path))) == MAX_DOWNLOADABLE


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "5", "{", '{"began": 1}', '{"began": 1, "ended": 1, "files": 5}',
        '{"began": 1, "ended": 1, "files": ["../secret.mp4"]}',
        '{"began": 1, "ended": 1, "files": ["door/../../secret.mp4"]}',
        '{"began": 1, "ended": 1, "files": ["door/x.txt"]}',
        '{"began": 1, "ended": 1, "files": [5]}',
        '{"began": 1, "ended": 1, "files": "door/x.mp4"}',
        '{"began": %s, "ended": 1, "files": ["door/x.mp4"]}' % ("9" * 400),
        '{"began": 1, "ended": [], "files": ["door/x.mp4"]}',
        pytest.param(
            " " * kept_downloads.MAX_BYTES + '{"began": 1, "ended": 1, "files": ["door/x.mp4"]}',
            id="long",
        ),
    ],
)  # fmt: skip
async def test_what_somebody_wrote_there_leads_nowhere(tmp_path: Path, text: str) -> None:
    records = tmp_path / "records"
    recorded(tmp_path, "secret.mp4")
    recorded(records, "door/x.mp4")
    recorded(records, "door/x.txt")
    (records / FOLDER).mkdir()
    for name in ("0" * 64 + ".json", "0" * 64 + ".part", "readme.json"):
        (records / FOLDER / name).write_text(text)
    assert not (await restarted(records, 2.0))._offered
    assert not list(kept(records))
    absolute = {"began": 1, "ended": 1, "files": [str(tmp_path / "secret.mp4")]}
    (records / FOLDER / f"{0:064x}.json").write_text(json.dumps(absolute))
    assert not (await restarted(records, 2.0))._offered


async def test_a_long_recording_fits(tmp_path: Path) -> None:
    downloads, written = Downloads(tmp_path), Written()
    path = recorded(tmp_path, f"_sessions/{'s' * 64}/2026-01-31T12-00-00.000Z.mp4")
    written.paths.extend([path] * RECORD_REMEMBERED)
    address = await downloads.offer(written)
    again = (await restarted(tmp_path)).find(secret(address))
    assert len(again.paths) == RECORD_REMEMBERED


async def test_a_disk_that_fails_ends_no_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    downloads, written = Downloads(tmp_path), Written()
    address = await downloads.offer(written)
    written.add(recorded(tmp_path))
    written.end()
    assert downloads.find(secret(address)) is written
    assert "will not outlast the server" in caplog.text
    await restarted(tmp_path)

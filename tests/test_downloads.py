"""What was recorded is fetched by who began it, by nobody else, and not for ever."""

import asyncio
import io
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import web
from camera_server import Http, add_camera, serving, state
from rtc_client import Flash, Tone, eventually
from test_recorded_sound import Recorded
from whip_client import Party

from stream.egress.recording import Written
from stream.limits import DOWNLOADABLE_FOR, MAX_DOWNLOADABLE, MAX_DOWNLOADS
from stream.server.downloads import DOWNLOADS, Downloads
from stream.settings import Settings

TOKEN = "operators-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Http]:
    async with serving(Settings(record=tmp_path / "recordings", token=TOKEN)) as http:
        yield http


async def listed(http: Http, downloads: str) -> dict[str, Any]:
    async with http.get(downloads) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Cache-Control"] == "no-store"
        return dict(await response.json())


async def test_who_begins_a_recording_fetches_it(guarded: Http, tmp_path: Path) -> None:
    http, tone = guarded, Tone()
    source = Party(Flash(tone), tone)
    await source.begin(http, "/whip?session=studio&effect=none", **BEARER)
    path = "/sessions/studio/recording"
    try:
        assert (await http.post(path)).status == 401
        async with http.post(path, headers=BEARER) as response:
            downloads = (await response.json())["downloads"]
        assert len(downloads) > 30
        async with http.post(path, headers=BEARER) as response:
            assert response.status == 201
            assert "downloads" not in await response.json(), "another began it"
        for _ in range(200):
            async with http.get(path, headers=BEARER) as response:
                told = (await response.json())["recording"]
            assert "downloads" not in told
            if told["total_seconds"] > 2:
                break
            await asyncio.sleep(0.05)
        assert not (await listed(http, downloads))["ended"]
        assert (await http.delete("/whip/studio", headers=BEARER)).status == 200
    finally:
        await source.close()

    found = await listed(http, downloads)
    assert found["ended"]
    files = sorted((tmp_path / "recordings" / "_sessions" / "studio").glob("*.mp4"))
    assert [file["name"] for file in found["files"]] == [file.name for file in files]
    last = found["files"][-1]
    async with http.get(last["url"]) as response:
        assert response.headers["Content-Type"] == "video/mp4"
        wanted = f'attachment; filename="segstream-{last["name"]}"'
        assert response.headers["Content-Disposition"] == wanted
        data = await response.read()
    assert data == files[-1].read_bytes()
    assert len(data) == last["bytes"]
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(data)
    assert Recorded(copy).codecs == ["h264", "aac"]
    async with http.get(last["url"], headers={"Range": "bytes=4-7"}) as response:
        assert (response.status, await response.read()) == (206, b"ftyp")
    for wrong in ("..%2f..%2fsecret", "other.mp4", files[-1].name + "x"):
        assert (await http.get(f"{downloads}/{wrong}")).status == 404
    assert (await http.get(downloads[:-1] + "~")).status == 404
    files[-1].unlink()
    assert (await http.get(last["url"])).status == 404
    assert len((await listed(http, downloads))["files"]) == len(files) - 1


async def test_what_the_operator_began_is_not_fetched_by_who_ends_it(
    http: Http, clip: Path
) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none", record=True)
    async with http.post("/cameras/film/recording") as response:
        assert "downloads" not in await response.json()
    assert (await http.delete("/cameras/film/recording")).status == 204
    assert "downloads" not in str(await state(http, "film"))


async def test_a_file_that_grows_is_sent_as_far_as_it_goes(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none")
    async with http.post("/cameras/film/recording") as response:
        downloads = (await response.json())["downloads"]
    for _ in range(400):
        files = (await listed(http, downloads))["files"]
        if files and files[0]["bytes"] > 10_000:
            break
        await asyncio.sleep(0.05)
    async with http.get(files[0]["url"]) as response:
        data = await response.read()
    with av.open(io.BytesIO(data)) as film:
        assert next(film.decode(video=0)).width > 0


async def test_only_so_many_are_sent_at_once(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = http.app[DOWNLOADS]
    url = f"{await downloads.offer(Written(deque([clip])))}/{clip.name}"
    is_gone_on = asyncio.Event()
    send = web.FileResponse._sendfile

    async def wait(*given: Any) -> Any:
        await is_gone_on.wait()
        return await send(*given)

    monkeypatch.setattr(web.FileResponse, "_sendfile", wait)
    held = [asyncio.create_task(http.get(url)) for _ in range(MAX_DOWNLOADS)]
    await eventually(lambda: downloads.sending == MAX_DOWNLOADS)
    async with http.get(url) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
    is_gone_on.set()
    whole = await asyncio.to_thread(clip.read_bytes)
    for response in await asyncio.gather(*held):
        assert await response.read() == whole
    assert (await http.get(url)).status == 200
    await eventually(lambda: downloads.sending == 0)


async def test_they_are_offered_for_a_day_and_no_more_than_so_many() -> None:
    now = 0.0
    downloads = Downloads(None, lambda: now)

    async def secret(written: Written) -> str:
        return (await downloads.offer(written)).rpartition("/")[2]

    goes_on, over = Written(), Written(ended=0.0)
    first, second = await secret(goes_on), await secret(over)
    now = DOWNLOADABLE_FOR
    assert downloads.find(second) is over
    now += 1
    with pytest.raises(web.HTTPNotFound):
        downloads.find(second)
    assert downloads.find(first) is goes_on
    for _ in range(MAX_DOWNLOADABLE):
        newest = await secret(Written())
    with pytest.raises(web.HTTPNotFound):
        downloads.find(first)
    assert downloads.find(newest).ended is None

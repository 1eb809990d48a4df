"""The server as programs use it: the hosted endpoint's call, jobs, and a server that is killed."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import pytest

from tests import drawn_clips as clips
from tests.job_server import JobServer, events, running, serving, until

pytestmark = pytest.mark.slow

ALLOW = {"SEGSTREAM_FETCH_ALLOW": "127.0.0.1"}

CALL = "/v1/sam-v2-video"

SOME = 120
"""Pictures of a video that takes long enough for a server to end meanwhile."""

SQUARE = [60, 60]
"""In the drawn clip's first picture: on the square."""


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[str]:
    """A web server that has `drawn.mp4`, `some.mp4`, `long.mp4` and `person.mkv`; its URL."""
    folder = tmp_path / "files"
    folder.mkdir()
    clips.make(folder / "drawn.mp4", count=12, audio="aac")
    clips.make(folder / "long.mp4", count=400)
    clips.make(folder / "some.mp4", count=SOME)
    clips.beginning(clips.VIDEO / "webcam" / "walk.mkv", folder / "person.mkv", 0.25)
    clips.sound_only(folder / "sound.mp4")
    clips.cut(folder / "drawn.mp4", folder / "cut.mp4", 0.5)
    (folder / "text.mp4").write_text("no video")
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\ndrawn.mp4\n#EXT-X-ENDLIST\n")
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile drawn.mp4\n")
    async with serving(folder) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        yield session


async def refused(response: aiohttp.ClientResponse, status: int, code: str) -> str:
    body = await response.json()
    assert (response.status, body["error"]["code"]) == (status, code), body
    assert "x-remaining-credits" in response.headers
    return str(body["error"]["message"])


def greys(path: Path) -> list[Any]:
    return [frame.to_ndarray(format="gray") for frame in clips.pictures(path)]


async def test_the_hosted_services_call(
    files: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    drawn, target = tmp_path / "files" / "drawn.mp4", tmp_path / "out.mp4"
    async with running(tmp_path / "data", **ALLOW) as server:
        key = server.keys("create", "mine", "--credits", "60")
        poor = server.keys("create", "poor", "--credits", "0.1")
        empty = server.keys("create", "empty", "--credits", "0")
        headers = {"x-api-key": key}

        async def call(wanted: Any, **more: Any) -> aiohttp.ClientResponse:
            return await http.post(server.base + CALL, json=wanted, **{"headers": headers, **more})

        async def video(response: aiohttp.ClientResponse) -> Path:
            assert response.status == 200, await response.text()
            assert response.content_type == "video/mp4"
            target.write_bytes(await response.read())
            with av.open(str(target)) as container:
                stream = container.streams.video[0]
                assert stream.codec_context.name == "h264"
                assert stream.pix_fmt in ("yuv420p", "yuvj420p")  # the source's range
            return target

        # A word: the mask, then the overlay, of a real person.
        person = {"input_video": f"{files}/person.mkv", "prompt": "person"}
        response = await call({**person, "overlay_mask": False, "coordinates": "[1,1]"})
        masks = greys(await video(response))
        source = tmp_path / "files" / "person.mkv"
        assert len(masks) == len(clips.pictures(source))
        assert all(0.1 < (mask > 128).mean() < 0.6 for mask in masks)
        assert all(((mask < 30) | (mask > 225)).mean() > 0.97 for mask in masks)
        left = float(response.headers["x-remaining-credits"])
        assert 59 < left < 60
        tinted = [frame.to_ndarray(format="rgb24") for frame in clips.pictures(
            await video(await call({**person, "prompt": "the man", "overlay_mask": True}))
        )]  # fmt: skip
        plain = [frame.to_ndarray(format="rgb24") for frame in clips.pictures(source)]
        for before, after, mask in zip(plain, tinted, masks, strict=True):
            change = np.abs(before.astype(int) - after).sum(axis=2)
            assert change[mask > 225].mean() > 60
            assert change[mask < 30].mean() < 25

        # Points, with the sound and the times kept.
        points = {"input_video": f"{files}/drawn.mp4", "overlay_mask": False}
        for coordinates in (str(SQUARE), [SQUARE], json.dumps([SQUARE, [66, 64]])):
            path = await video(await call({**points, "coordinates": coordinates}))
            for i, mask in enumerate(greys(path)):
                assert mask[60, 60 + 2 * i] > 225
                assert mask[10, 10] < 30
        assert clips.times(path) == clips.times(drawn)
        assert clips.packets(path) == clips.packets(drawn)
        shirt = {**points, "input_video": f"{files}/person.mkv", "coordinates": "[320,330]"}
        whole = greys(await video(await call(shirt)))[0] > 128
        removed = {**shirt, "remove_coordinates": "[[310,150]]"}  # the face
        less = greys(await video(await call(removed)))[0] > 128
        assert less[330, 320]
        assert not less[150, 310]
        assert 0.02 < less.mean() < 0.8 * whole.mean()

        # The video itself, in the request.
        coded = base64.b64encode(drawn.read_bytes()).decode()
        inline = {**points, "input_video": f"data:video/mp4;base64,{coded}", "prompt": "object"}
        await video(await call(inline))
        form = aiohttp.FormData({"coordinates": str(SQUARE), "overlay_mask": "true"})
        form.add_field("input_video", drawn.read_bytes(), filename="drawn.mp4")
        await video(await http.post(server.base + CALL, data=form, headers=headers))

        # What is refused costs nothing.
        before = (await call({})).headers["x-remaining-credits"]
        assert 0 < float(before) < left
        url = server.base + CALL
        await refused(await http.post(url, json=person), 401, "bad_key")
        await refused(await call(person, headers={"x-api-key": key[:-1]}), 401, "bad_key")
        await refused(await call(person, headers={"x-api-key": poor}), 406, "no_credits")
        answer = await call(person, headers={"x-api-key": empty})
        await refused(answer, 406, "no_credits")
        assert answer.headers["x-remaining-credits"] == "0"
        await refused(
            await http.post(server.base + "/v1/nothing", headers=headers), 404, "not_found"
        )
        await refused(await http.post(url, data=b"x", headers=headers), 415, "bad_type")
        kind = {**headers, "content-type": "application/json"}
        await refused(await http.post(url, data=b"{", headers=kind), 400, "bad_input")
        kind = {**headers, "content-type": "multipart/form-data; boundary=x"}
        part = b'--x\r\nContent-Disposition: form-data; name="i\x08"\r\n\r\n{}\r\n--x--\r\n'
        for body in (b"junk", part, part[:30]):
            await refused(await http.post(url, data=body, headers=kind), 400, "bad_input")
        await refused(await call(points), 400, "bad_prompt")
        await refused(await call({"prompt": "person"}), 400, "bad_input")
        await refused(await call({**person, "overlay_mask": "maybe"}), 400, "bad_input")
        await refused(await call({**person, "input_video": "file:///etc/passwd"}), 400, "bad_input")
        zebra = await refused(await call({**person, "prompt": "zebra"}), 422, "unknown_word")
        assert "person, object" in zebra
        await refused(await call({**points, "coordinates": "[999,9]"}), 422, "bad_prompt")
        for name in ("text.mp4", "cut.mp4", "list.m3u8", "list.ffconcat", "sound.mp4", "none.mp4"):
            wanted = {"input_video": f"{files}/{name}", "prompt": "person"}
            message = await refused(await call(wanted), 422, "bad_media")
            assert str(tmp_path) not in message
        assert (await call({})).headers["x-remaining-credits"] == before
        assert f"{float(before):g} " in server.keys("list")


async def test_jobs(files: str, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with running(tmp_path / "data", **ALLOW) as server:
        mine, other = (
            {"x-api-key": server.keys("create", name, "--credits", "100", "--jobs", "2")}
            for name in ("mine", "other")
        )

        async def get(path: str, **more: Any) -> Any:
            response = await http.get(server.base + path, headers=mine, **more)
            assert response.status == 200, await response.text()
            return await response.json()

        wanted = {
            "input": f"{files}/drawn.mp4",
            "prompts": [
                {"object": 1, "point": SQUARE},
                {"object": 7, "frame": 3, "box": [1, 1, 20, 119]},
            ],
            "effect": {"name": "colour", "colour": "#ff0000"},
            "exports": ["video", "coco", "yolo", "png", "mot", "mask", "overlay", "cutout"],
            "model": "nano@384",
        }
        for model in ("sam2.1-large", "nano@100", "../nano"):
            response = await http.post(
                server.base + "/jobs", json={**wanted, "model": model}, headers=mine
            )
            assert "there are nano" in await refused(response, 422, "unknown_model")
        response = await http.post(server.base + "/jobs", json=wanted, headers=mine)
        assert response.status == 202, await response.text()
        job = await response.json()
        path = response.headers["Location"]
        assert (job["state"], job["frames"], job["model"]) == ("queued", 12, "nano@384")
        assert response.headers["x-remaining-credits"] == f"{100 - job['duration']:g}"
        follow = await http.get(f"{server.base}{path}/events", headers=mine)
        assert follow.content_type == "text/event-stream"
        heard = [(name, json.loads(data)) async for name, data in events(follow)]
        assert [name for name, _ in heard][-1] == "done"
        assert {name for name, _ in heard[:-1]} == {"progress"}
        done = await get(path)
        assert (done["state"], done["progress"], done["eta"]) == ("done", 1, 0)
        assert [one["name"] for one in done["results"]][:2] == ["video.mp4", "coco.json"]
        for one in done["results"]:
            response = await http.get(server.base + one["url"], headers=mine)
            assert response.status == 200
            assert len(await response.read()) == one["bytes"] > 0
        coco = await get(f"{path}/result/coco.json")
        seen = [(one["image_id"], one["track_id"]) for one in coco["annotations"]]
        assert {track for _, track in seen} >= {1}
        assert min((image for image, track in seen if track == 7), default=4) >= 4
        whole = await (await http.get(f"{server.base}{path}/result", headers=mine)).read()
        part = await http.get(
            f"{server.base}{path}/result", headers={**mine, "Range": "bytes=100-199"}
        )
        assert part.status == 206
        assert await part.read() == whole[100:200]
        assert [one["id"] for one in (await get("/jobs"))["jobs"]] == [job["id"]]

        # Nobody else's business.
        for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/result")):
            response = await http.request(method, server.base + where, headers=other)
            await refused(response, 404, "not_found")
        await refused(await http.get(server.base + path), 401, "bad_key")
        await refused(
            await http.get(f"{server.base}{path}/result/x", headers=mine), 404, "not_found"
        )

        # Cancelled while it runs, and while it waits; more than two are too many.
        long = {"input": f"{files}/long.mp4", "prompts": [{"text": "object"}], "exports": ["mask"]}
        places = []
        for _ in range(2):
            response = await http.post(server.base + "/jobs", json=long, headers=mine)
            places.append(response.headers["Location"])
        response = await http.post(server.base + "/jobs", json=long, headers=mine)
        await refused(response, 429, "too_many")
        assert int(response.headers["Retry-After"]) > 0
        response = await http.get(f"{server.base}{places[1]}/result", headers=mine)
        assert (await refused(response, 409, "not_done")) == "the job is queued; it has no results"

        async def has_begun() -> bool:
            return bool((await get(places[0]))["frames_done"])

        await until(has_begun)
        assert (await get(places[0]))["eta"] > 0
        for place in reversed(places):
            response = await http.delete(server.base + place, headers=mine)
            assert response.status == 204

            async def is_cancelled(place: str = place) -> bool:
                return bool((await get(place))["state"] == "cancelled")

            await until(is_cancelled, 20)
        response = await http.get(server.base + path, headers=mine)
        credits = float(response.headers["x-remaining-credits"])
        # Only what was done of the one that ran.
        assert 100 - job["duration"] - 400 / 29.97 < credits < 100 - job["duration"]
        assert (await http.delete(server.base + path, headers=mine)).status == 204
        await refused(await http.get(server.base + path, headers=mine), 404, "not_found")
        kept = [one.name for one in (tmp_path / "data" / "jobs").iterdir()]
        assert kept == []


async def test_a_job_survives_the_servers_death(
    files: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    first = JobServer(tmp_path / "data", **ALLOW)
    await first.start()
    headers = {"x-api-key": first.keys("create", "mine", "--credits", "100")}
    wanted = {"prompts": [{"point": SQUARE}], "input": f"{files}/some.mp4", "exports": ["mask"]}
    response = await http.post(first.base + "/jobs", json=wanted, headers=headers)
    job = await response.json()

    async def state(server: JobServer) -> Any:
        return await (await http.get(f"{server.base}/jobs/{job['id']}", headers=headers)).json()

    async def has_begun() -> bool:
        return bool((await state(first))["frames_done"])

    await until(has_begun)
    call = asyncio.create_task(
        http.post(
            first.base + CALL,
            json={"input_video": f"{files}/drawn.mp4", "coordinates": SQUARE},
            headers=headers,
        )
    )

    async def both_wait() -> bool:
        jobs = await (await http.get(f"{first.base}/jobs", headers=headers)).json()
        return len(jobs["jobs"]) == 2

    await until(both_wait)
    await first.stop(signal.SIGKILL)
    with pytest.raises(aiohttp.ClientError):
        await call
    async with running(tmp_path / "data", **ALLOW) as second:

        async def ended() -> Any:
            found = await state(second)
            return found if found["state"] not in ("queued", "running") else None

        found = await until(ended)
        assert found["state"] == "done", found
        result = await http.get(f"{second.base}/jobs/{job['id']}/result", headers=headers)
        assert result.headers["x-remaining-credits"] == f"{100 - job['duration']:g}"
        (tmp_path / "out.mp4").write_bytes(await result.read())
        assert len(clips.pictures(tmp_path / "out.mp4")) == SOME
        jobs = (await (await http.get(f"{second.base}/jobs", headers=headers)).json())["jobs"]
        assert [one["state"] for one in jobs] == ["cancelled", "done"]


async def test_a_job_that_runs_is_finished_when_the_server_drains(
    files: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    wanted = {"prompts": [{"point": SQUARE}], "input": f"{files}/some.mp4", "exports": ["mask"]}
    first = JobServer(tmp_path / "data", **ALLOW, SEGSTREAM_DRAIN_SECONDS="120")
    await first.start()
    headers = {"x-api-key": first.keys("create", "mine", "--credits", "100")}
    ids = []
    for _ in range(2):
        response = await http.post(first.base + "/jobs", json=wanted, headers=headers)
        ids.append((await response.json())["id"])

    async def state(server: JobServer, id: str) -> Any:
        return await (await http.get(f"{server.base}/jobs/{id}", headers=headers)).json()

    async def has_begun() -> bool:
        return bool((await state(first, ids[0]))["frames_done"])

    await until(has_begun)
    text = await (await http.get(first.base + "/metrics")).text()
    assert 'segstream_jobs{state="running"} 1.0' in text
    assert 'segstream_jobs{state="queued"} 1.0' in text
    ending = asyncio.create_task(first.stop(seconds=150))

    async def drains() -> bool:
        return (await http.get(first.base + "/readyz")).status == 503

    await until(drains)
    await refused(await http.post(first.base + "/jobs", json=wanted, headers=headers), 503, "busy")
    assert await ending == 0
    assert "draining for 120 s at most; jobs: 1" in first.output
    assert "nothing runs any more" in first.output
    async with running(tmp_path / "data", **ALLOW) as second:
        assert (await state(second, ids[0]))["state"] == "done"
        assert (await state(second, ids[1]))["state"] in ("queued", "running")


async def test_loopback_needs_no_key_until_there_is_one(
    files: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with running(tmp_path / "data") as server:
        response = await http.get(server.base + "/jobs")
        assert await response.json() == {"jobs": []}
        assert response.headers["x-remaining-credits"] == "Infinity"
        wanted = {"input_video": f"{files}/drawn.mp4", "prompt": "object"}
        response = await http.post(server.base + CALL, json=wanted)
        assert "not public" in await refused(response, 400, "bad_input")
        document = await (await http.get(server.base + "/openapi.json")).json()
        assert set(document["paths"]) > {CALL, "/jobs", "/jobs/{id}"}
        server.keys("create", "first")
        await refused(await http.get(server.base + "/jobs"), 401, "bad_key")


async def test_who_hangs_up_pays_for_no_more(
    files: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with running(tmp_path / "data", **ALLOW) as server:
        headers = {"x-api-key": server.keys("create", "mine", "--credits", "100")}
        wanted = {"input_video": f"{files}/long.mp4", "coordinates": SQUARE}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), http.post(
                server.base + CALL, json=wanted, headers=headers
            ):  # fmt: skip
                pass

        async def is_cancelled() -> bool:
            jobs = await (await http.get(f"{server.base}/jobs", headers=headers)).json()
            return [one["state"] for one in jobs["jobs"]] == ["cancelled"]

        await until(is_cancelled, 30)

"""The processes of a job: what they refuse, what they may use, and that they end."""

import asyncio
import json
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from rtc_client import eventually

from stream import logs
from stream.errors import LimitError, MediaError
from stream.ingest.file import VideoFile
from stream.jobs import probe as module
from stream.jobs import process
from stream.jobs.owner import Owner
from stream.jobs.probe import probe
from stream.jobs.process import JobError
from tests import drawn_clips as clips

SCRIPT = """
import sys, time
from stream.errors import MediaError
from stream.jobs import talk
from stream.jobs.confine import confine
from stream.settings import JOB_NICE
from stream.niceness import step_back
from stream.worker.process import NICENESS
def work(orders, reports):
    what = orders["do"]
    print("a library prints this")
    if what == "report":
        reports.say(frames=1)
        reports.say(frames=2)
    elif what == "complain":
        import logging
        for i in range(orders["times"]):
            logging.getLogger("library").warning("this is odd")
        reports.say(seconds=1)
    elif what == "refuse":
        raise MediaError("no good")
    elif what == "memory":
        confine(512 * 1024**2, 60)
        bytearray(1024**3)
    elif what == "much memory":
        confine(512 * 1024**2, 60, reserves=True)
        import mmap
        mmap.mmap(-1, 1024**3, prot=0)  # only reserved
        reports.say(reserved=True)
        bytearray(1024**3)
    elif what == "cpu":
        confine(None, 0)
        while True: pass
    elif what == "disk":
        import stream.jobs.confine as module
        module.FILE_SIZE = 1000
        confine(None, 60)
        open(orders["path"], "wb").write(bytes(5000))
    elif what == "fail":
        raise ValueError("a fault")
    elif what == "hang":
        time.sleep(60)
    elif what == "end slowly":
        import atexit
        atexit.register(time.sleep, 60)
        reports.say(seconds=1)
    elif what == "nice":
        import os
        step_back(orders["niceness"])
        reports.say(nice=os.nice(0), policy=os.sched_getscheduler(0))
    elif what == "work":
        import os
        step_back(JOB_NICE if orders["is_job"] else NICENESS)
        os.sched_setaffinity(0, {orders["cpu"]})
        reports.say(ready=True)
        while not os.path.exists(orders["go"]): time.sleep(0.01)
        end = os.stat(orders["go"]).st_mtime + 1.5
        began = time.process_time()
        while time.time() < end: pass
        reports.say(seconds=time.process_time() - began)
if __name__ == "__main__":
    talk.main(work)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "obedient.py").write_text(SCRIPT)
    paths = [str(tmp_path), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    async def do(
        what: str, silence: float = 30, heard: list[Any] | None = None, **more: Any
    ) -> Any:
        heard = [] if heard is None else heard
        try:
            last = await process.run("obedient", {"do": what, **more}, silence, heard.append)
        except JobError as error:
            return error.code, error.status
        return last, heard

    return do


async def test_reports(worker: Any) -> None:
    assert await worker("report") == ({"frames": 2}, [{"frames": 1}, {"frames": 2}])


async def test_what_it_complains_about_is_logged_up_to_a_bound(
    worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As the job's, which it is about, whether it dies of it or not."""
    caplog.set_level("INFO")
    caplog.handler.setFormatter(logs.JsonLines("server"))
    with logs.about(job="j1"):
        await worker("complain", times=1)
        await worker("complain", times=1000)
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert {line["job"] for line in lines} == {"j1"}
    assert len(lines) == 2 + process.REMEMBERED  # each also prints something else, once
    assert [line["message"] for line in lines][1::20] == ["obedient: this is odd"] * 2


async def test_what_is_done_counts_however_long_the_end_takes(worker: Any) -> None:
    """To take a network's libraries down takes seconds of a machine that is busy."""
    async with asyncio.timeout(30):
        assert await worker("end slowly") == ({"seconds": 1}, [{"seconds": 1}])


async def test_what_goes_wrong(worker: Any, tmp_path: Path) -> None:
    assert await worker("refuse") == ("bad_media", 422)
    assert await worker("memory") == ("limit", 413)
    assert await worker("much memory") == ("limit", 413)
    assert await worker("cpu") == ("crashed", 422)
    assert (await worker("disk", path=str(tmp_path / "x")))[1] in (422, 500)
    assert (tmp_path / "x").stat().st_size <= 1000
    assert await worker("fail") == ("error", 500)
    assert await worker("nothing said") == ("error", 500)
    assert await worker("hang", 0.5) == ("limit", 422)


async def test_a_job_is_nice_and_still_gets_something(worker: Any) -> None:
    (last, _) = await worker("nice", niceness=12)
    assert last == {"nice": min(os.nice(0) + 12, 19), "policy": os.SCHED_OTHER}


async def test_live_sessions_come_first(worker: Any, tmp_path: Path) -> None:
    """A job and the worker of live sessions want one CPU; shares decide, however long it takes."""
    go = tmp_path / "go"
    orders = {"go": str(go), "cpu": min(os.sched_getaffinity(0))}
    heard: tuple[list[Any], list[Any]] = ([], [])
    both = [
        asyncio.create_task(worker("work", heard=heard[is_job], is_job=is_job, **orders))
        for is_job in (0, 1)
    ]
    await eventually(lambda: all(heard), 60)
    go.touch()
    (live, _), (job, _) = await asyncio.gather(*both)
    assert live["seconds"] > 2 * job["seconds"] > 0


async def test_it_ends_when_nobody_waits_any_more(worker: Any) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await worker("hang")
    assert time.monotonic() - began < 20


def test_it_ends_with_the_server(worker: Any) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "obedient"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps({"do": "hang"}).encode() + b"\n")
    child.communicate(timeout=30)  # closes the pipe, as the server's end would
    assert child.returncode == 1


def test_a_video_is_measured(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "v.mp4", count=30, audio="aac", rotation=90)
    found = probe(path)
    assert found["duration"] == pytest.approx(30 * 1001 / 30000, abs=0.001)
    assert {**found, "duration": 0} == {
        "width": 120, "height": 160, "duration": 0, "frames": 30, "sound": True
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["mkv", "webm", "avi", "ts", "mov"])
def test_other_kinds_are_measured(tmp_path: Path, kind: str) -> None:
    video = "libvpx" if kind == "webm" else "libx264"
    found = probe(clips.make(tmp_path / f"v.{kind}", count=30, video=video))
    assert found["frames"] == 30
    assert found["duration"] == pytest.approx(1, abs=0.07)


def test_what_is_no_video(tmp_path: Path) -> None:
    clips.make(tmp_path / "good.mp4")
    (tmp_path / "secret").write_text("secret")
    for name, text in {
        "a.m3u8": "#EXTM3U\n#EXTINF:1,\ngood.mp4\n#EXT-X-ENDLIST\n",
        "b.mp4": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n#EXT-X-ENDLIST\n",
        "c.ffconcat": "ffconcat version 1.0\nfile good.mp4\n",
        "d.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "e.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
        "f.txt": "secret",
        "g.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
        "h.mp4": "",
    }.items():
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(MediaError) as refusal:
            probe(path)
        assert str(tmp_path) not in str(refusal.value)
    (tmp_path / "i.png").write_bytes(cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes())
    for path in (tmp_path / "i.png", clips.sound_only(tmp_path / "j.mp4"), tmp_path / "nothing"):
        with pytest.raises(MediaError):
            probe(path)


def test_a_movie_that_names_another_file(tmp_path: Path) -> None:
    """QuickTime's data references: FFmpeg follows none, whatever the file says."""
    good = clips.make(tmp_path / "good.mov").read_bytes()
    assert b"url \x00\x00\x00\x01" in good  # the data are in this very file
    path = tmp_path / "elsewhere.mov"
    path.write_bytes(good.replace(b"url \x00\x00\x00\x01", b"alis\x00\x00\x00\x00"))
    try:
        found = probe(path)
    except MediaError:
        return
    assert found["frames"] == 12  # its own


def test_limits_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clips.make(tmp_path / "v.mp4")
    monkeypatch.setattr(module, "MAX_PIXELS", 160 * 120 - 1)
    with pytest.raises(LimitError, match="160x120"):
        probe(path)
    monkeypatch.setattr(module, "MAX_PIXELS", 160 * 120)
    monkeypatch.setattr(module, "MAX_DURATION", 0.3)
    with pytest.raises(LimitError, match="long"):
        probe(path)
    monkeypatch.setattr(module, "MAX_DURATION", 60)
    crowded = clips.make(tmp_path / "crowded.mp4", count=300, pts=lambda i: i)  # in a hundredth
    with pytest.raises(LimitError, match="300 pictures"):
        probe(crowded)
    with pytest.raises(LimitError, match="4096"):
        probe(huge(tmp_path / "huge.mov"))


def test_a_later_picture_that_is_huge_is_not_decoded(tmp_path: Path) -> None:
    """Its size stands in no header: the decoder itself has to refuse it."""
    path = huge(tmp_path / "grows.mov", first=160)
    with VideoFile(path) as video, pytest.raises(MediaError, match=r"1 picture.* only"):
        list(video)


def huge(path: Path, first: int = 0) -> Path:
    """One picture of 16000 x 16000 that is some kilobytes as a file. first: the side of a small one
    before it, whose size is that of the header."""
    with av.open(str(path), "w") as container:
        side = first or 16000
        stream = container.add_stream("png", rate=25, width=side, height=side, pix_fmt="gray")
        for time, side in enumerate([first, 16000] if first else [16000]):
            encoder = av.CodecContext.create("png", "w")
            encoder.width, encoder.height, encoder.pix_fmt = side, side, "gray"
            encoder.time_base = Fraction(1, 25)
            frame = av.VideoFrame(side, side, "gray")
            np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = 0  # type: ignore[call-overload]
            for packet in [*encoder.encode(frame), *encoder.encode(None)]:
                packet.stream, packet.time_base = stream, encoder.time_base
                packet.pts = packet.dts = time
                container.mux(packet)
    assert path.stat().st_size < 2_000_000
    return path


def test_who_is_alive(tmp_path: Path) -> None:
    one, two = Owner(tmp_path / "servers"), Owner(tmp_path / "servers")
    assert one.is_alive(two.id)
    assert one.is_alive(one.id)
    assert not one.is_alive("nobody")
    two.close()
    assert not one.is_alive(two.id)
    child = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, time; from pathlib import Path; from stream.jobs.owner import Owner; "
            "owner = Owner(Path(sys.argv[1])); print(owner.id, flush=True); time.sleep(60)",
            str(tmp_path / "servers"),
        ],
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert child.stdout is not None
    id = child.stdout.readline().decode().strip()
    assert one.is_alive(id)
    child.kill()
    child.communicate(timeout=30)
    assert not one.is_alive(id)
    assert not (tmp_path / "servers" / f"{id}.lock").exists()
    one.close()

"""/metrics: the format, and that what happens is counted."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiortc.codecs import CODECS
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import RtpPacket
from fake_tracker import bright_supervisor
from moving_pictures import moving_frame
from prometheus_client.parser import text_string_to_metric_families
from rtc_client import Client, Scene, eventually

from stream import metrics
from stream.egress.encoder import Encoded
from stream.egress.viewer import Sent, Viewer
from stream.limits import MAX_ENCODED, MAX_WAITING_PICTURES
from stream.mailbox import Mailbox
from stream.server.app import create_app
from stream.server.patches import tracks
from stream.server.patches.decoding import EncodedPictures
from stream.server.patches.jitter import VideoJitterBuffer
from stream.settings import Settings

Http = TestClient[Any, Any]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with TestClient(TestServer(create_app(Settings(), bright_supervisor()))) as client:
        yield client


async def scrape(http: Http) -> dict[tuple[str, str], float]:
    """By name and the values of its labels; `le` is among them."""
    response = await http.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = await response.text()
    assert text.endswith("\n")
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_all_series_are_there_from_the_start(http: Http) -> None:
    found = await scrape(http)
    assert found["segstream_sessions", ""] == 0
    for by in ("camera", "whep", "jpeg"):
        assert found["segstream_viewers", by] == 0
    for state in ("connecting", "live", "frozen", "waiting", "failed", "ended"):
        assert found["segstream_cameras", state] == 0
    for state in ("connecting", "live", "waiting", "failed"):
        assert found["segstream_publications", state] == 0
    for state in ("queued", "running"):
        assert found["segstream_jobs", state] == 0
    for state in ("done", "failed", "cancelled"):
        assert ("segstream_jobs_ended_total", state) in found
    assert found["segstream_worker_up", ""] == 1
    assert found["segstream_draining", ""] == 0
    assert found["segstream_worker_restarts_total", ""] == 0
    for reason in (
        "tracker",
        "compose",
        "egress",
        "too_large",
        "broken",
        "late",
        "thinned",
        "encoder",
        "decoder",
        "decoded",
        "viewer",
    ):
        assert ("segstream_frames_dropped_total", reason) in found
    for event in ("late", "skipped", "dropped", "asked", "restarts"):
        assert ("segstream_jitter_buffer_total", event) in found
    for stage in ("wait", "compose", "latency", "track"):
        assert ("segstream_stage_seconds_bucket", f"+Inf,{stage}") in found
    for queue in ("compose", "egress", "tracker", "commands"):
        assert found["segstream_queue_age_seconds", queue] == 0
    assert found["process_open_fds", ""] > 0
    assert not [name for name, _ in found if name.endswith("_created")]
    assert (await scrape(http))["segstream_http_responses_total", "2xx"] > 0


async def test_a_live_session_is_counted(http: Http) -> None:
    before = await scrape(http)
    client = Client(Scene())
    await client.connect(http)  # type: ignore[arg-type]
    await client.ask(type="point", x=80, y=60, positive=True)
    await client.until(lambda: any(told["fps_tracker"] > 0 for told in client.told("stats")))
    during = await scrape(http)
    assert during["segstream_sessions", ""] == 1
    await http.delete(f"/rtc/{client.session}")
    await client.close()
    after = await scrape(http)

    def more(name: str, labels: str = "") -> float:
        return after[f"segstream_{name}", labels] - before[f"segstream_{name}", labels]

    assert after["segstream_sessions", ""] == 0
    assert more("sessions_started_total") == 1
    received, out = more("frames_in_total"), more("frames_out_total")
    lost = more("frames_dropped_total", "compose") + more("frames_dropped_total", "egress")
    assert received > 10
    # One may wait in each mailbox, or be under way, when the session ends.
    assert 0 <= received - out - lost <= 4
    assert 0 < more("frames_tracked_total") <= received
    assert more("stage_seconds_count", "track") >= more("frames_tracked_total")
    assert more("stage_seconds_count", "compose") == more("stage_seconds_count", "wait")
    assert more("stage_seconds_count", "latency") >= out
    assert more("mask_age_seconds_count") > 0
    parts = sum(more("stage_seconds_sum", stage) for stage in ("wait", "compose"))
    assert parts <= more("stage_seconds_sum", "latency") * 1.2 + 0.1


async def test_the_event_loop_is_watched(http: Http) -> None:
    before = metrics.LOOP_LAG._sum.get()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    time.sleep(0.6)  # noqa: ASYNC251, which is what is to be seen
    await eventually(lambda: metrics.LOOP_LAG._sum.get() > before + 0.25)  # type: ignore[attr-defined]


def test_labels_are_bounded() -> None:
    with pytest.raises(KeyError):
        metrics.FRAMES_DROPPED["/etc/passwd"].inc()


async def test_a_mailbox_tells_of_drops_and_shows_what_waits() -> None:
    told: list[int] = []
    box: Mailbox[int] = Mailbox(2, lambda: told.append(1))
    assert box.oldest is None
    for number in range(5):
        box.put(number)
    assert (box.oldest, box.dropped, len(told)) == (3, 3, 3)
    assert await box.get() == 3


async def test_what_the_way_in_and_viewers_lose_is_counted() -> None:
    def counted(reason: str) -> float:
        return metrics.FRAMES_DROPPED[reason]._value.get()  # type: ignore[attr-defined,no-any-return]

    reasons = ("decoder", "decoded", "viewer")
    before = {reason: counted(reason) for reason in reasons}
    waiting = EncodedPictures(threading.Event())
    for _ in range(MAX_ENCODED + 5):
        waiting.put((CODECS["video"][0], JitterFrame(b"\x01", 0)))
    track = RemoteStreamTrack("video")
    tracks.init_bounded_track(track, "video")
    for _ in range(MAX_WAITING_PICTURES + 3):
        await track._queue.put(object())
    viewer = Viewer("H264", lambda: None)
    viewer.offer(Sent(Encoded(b"", False, (2, 2)), 0, moving_frame(0, 32, 16)), 1_000_000)
    lost = {reason: counted(reason) - before[reason] for reason in reasons}
    assert lost == {"decoder": waiting.dropped, "decoded": 3, "viewer": 1}
    assert waiting.dropped > 0


def test_what_the_network_does_is_counted() -> None:
    def counted() -> dict[str, float]:
        counters = metrics.JITTER_BUFFER.items()
        return {event: each._value.get() for event, each in counters}  # type: ignore[attr-defined]

    before = counted()
    buffer = VideoJitterBuffer({96: CODECS["video"][0]})
    for sequence in (0, 0, 20_000):
        packet = RtpPacket(payload_type=96, sequence_number=sequence, marker=1, payload=b"")
        packet._data = b"\x10\x00"  # type: ignore[attr-defined]
        buffer.add(packet)
    lost = {event: count - before[event] for event, count in counted().items()}
    assert lost == asdict(buffer.buffer.counters)
    assert lost["late"] == lost["restarts"] == 1


async def test_the_manual_lists_every_metric(http: Http) -> None:
    manual = (Path(__file__).parents[1] / "docs" / "operating.md").read_text(encoding="utf-8")
    for name, _ in await scrape(http):
        name = re.sub("_(bucket|sum|count)$", "", name.removeprefix("segstream_"))
        assert name.startswith("process_") or re.search(rf"`{name}[`{{]", manual), name

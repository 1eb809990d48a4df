"""An encoder that is suddenly slow: quality goes down, pictures stay fresh, all comes back."""

import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from rtc_client import Client, Scene, eventually

import stream.overload
import stream.server.peer
from stream.egress.encoder import H264Encoder
from stream.limits import MAX_AGE
from stream.overload import LADDER, Ages
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.server.steering import Steering
from stream.settings import Settings


async def test_quality_goes_down_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.server.peer, "STATS_INTERVAL", 0.1)
    monkeypatch.setattr(stream.overload, "DOWN_AFTER", 0.3)
    monkeypatch.setattr(stream.overload, "UP_AFTER", 0.5)
    slowness = 0.0
    encode = H264Encoder.encode

    def slow_encode(self: Any, *arguments: Any) -> Any:
        time.sleep(slowness)
        return encode(self, *arguments)

    monkeypatch.setattr(H264Encoder, "encode", slow_encode)
    app = create_app(Settings(), bright_supervisor())
    async with TestClient(TestServer(app)) as http:
        client = Client(Scene(320, 240))
        await client.connect(http)  # type: ignore[arg-type]
        peer = app[PEERS]._peers[client.session]
        overload = peer._steering.overload
        ages: list[float] = []
        add = type(peer.session.broadcast.ages).add

        def note(self: Any, age: float) -> None:
            ages.append(age)
            add(self, age)

        monkeypatch.setattr(type(peer.session.broadcast.ages), "add", note)
        slowness = 0.12
        await eventually(lambda: overload.position >= 6)
        assert peer.session.tracker_interval == overload.level.tracker_interval > 0
        await client.until(lambda: client.pictures[-1].width < 320)
        assert median(ages[-15:]) < MAX_AGE + 2 * slowness, "delay does not build up"
        seen = len(client.arrivals["video"])
        await client.until(lambda: len(client.arrivals["video"]) > seen + 3)
        slowness = 0.0
        monkeypatch.setattr(stream.overload, "UP_AFTER", 0.2)
        overload._waits.clear()
        await eventually(lambda: overload.position < 5, 60)
        await client.until(lambda: client.pictures[-1].width > 160)
        assert peer.session.broadcast.quality in LADDER
        await client.close()


def test_pictures_that_are_not_even_decoded_count() -> None:
    """A decoder that is starved drops them up to a keyframe; what it lets through is fresh."""
    broadcast = SimpleNamespace(
        ages=Ages(),
        encode_ms=5.0,
        frames=SimpleNamespace(dropped=0),
        drops=SimpleNamespace(late=0),
        quality=LADDER[0],
    )
    session: Any = SimpleNamespace(
        id="", broadcast=broadcast, received=0, passed_over=0, tracker_interval=0.0
    )
    undecoded = 0
    steering = Steering(session, lambda: undecoded)
    for _ in range(3):
        steering.look()
    assert steering.overload.position == 0
    steering.overload._since = float("-inf")  # for long
    steering.overload._was_too_much = True
    session.received, undecoded = session.received + 20, undecoded + 10
    steering.look()
    assert steering.overload.position == 1
    assert session.tracker_interval == LADDER[1].tracker_interval


async def test_a_peer_tells_what_its_decoder_had_no_time_for() -> None:
    app = create_app(Settings(), bright_supervisor())
    async with TestClient(TestServer(app)) as http:
        client = Client(Scene(320, 240))
        await client.connect(http)  # type: ignore[arg-type]
        peer = app[PEERS]._peers[client.session]
        before = peer._undecoded()
        [video] = [r for r in peer.connection.rtc.getReceivers() if r.track.kind == "video"]
        video._RTCRtpReceiver__decoder_queue._drop(3)  # type: ignore[attr-defined]
        assert peer._undecoded() == before + 3
        await client.close()

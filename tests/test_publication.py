"""What decides about a publication without a network: addresses, states, rates, messages."""

import io
import json

import av
import pytest

from stream.egress import target, writer_messages
from stream.egress.bitrate import FLOOR, HEADROOM, START
from stream.egress.publication import Failure, Phase, Progress, UploadRate, classify
from stream.egress.target import Kind
from stream.egress.writer_messages import (
    Closed,
    End,
    Open,
    Picture,
    Ready,
    Sound,
    SoundFormat,
    Written,
)
from stream.errors import InputError
from stream.limits import LONGEST_WAIT, MAX_ADDRESS, SHORTEST_WAIT, STEADY_AFTER


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("rtsp://u:p@h:554/a?k=1", Kind.RTSP, "rtsp://***@h:554/a?***"),
        ("rtsps://h/a", Kind.RTSP, "rtsps://h/a"),
        ("rtmp://a.example/live2/key-1", Kind.RTMP, "rtmp://a.example/live2/***"),
        ("RTMPS://u:p@h/app/key?x=1", Kind.RTMP, "RTMPS://***@h/app/key?***"),
        ("rtmp://h", Kind.RTMP, "rtmp://h"),
        ("srt://h:9000?passphrase=a-long-one", Kind.SRT, "srt://h:9000?***"),
        ("https://token@h/whip", Kind.WHIP, "https://***@h/whip"),
        (" http://[::1]:8080/whip ", Kind.WHIP, "http://[::1]:8080/whip"),
        ("v4l2:///dev/video10", Kind.V4L2, "v4l2:///dev/video10"),
        ("rtsp://u:p@ss/word@h/a", Kind.RTSP, "rtsp://***"),
    ],
)
def test_targets_that_are_taken(text: str, kind: Kind, shown: str) -> None:
    found = target.read(text, files=True)
    assert (found.kind, found.shown, found.url) == (kind, shown, text.strip())
    assert found.url not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", None, 5, "h/a", "/dev/video10", "ftp://h/a", "file:///a", "rtsp://"),
        *("rtsp://h:99999/a", "rtmp:///live", "rtsp://h/a b", "rtsp://h/\n/b"),
        "rtsp://" + "x" * 3000,
        *("v4l2://video10", "v4l2:///dev/sda", "v4l2:///dev/../etc/passwd", "v4l2:///dev/video1/x"),
    ],
)
def test_targets_that_are_refused(text: object) -> None:
    with pytest.raises(InputError):
        target.read(text, files=True)


def test_a_device_is_for_the_operator_only() -> None:
    with pytest.raises(InputError, match="command line"):
        target.read("v4l2:///dev/video10", files=False)
    assert target.read("v4l2:///dev/video10", files=True).device == "/dev/video10"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://h/whip", ("http://h/whip", "")),
        ("https://t0ken@h:1/whip?a=1#x", ("https://h:1/whip?a=1", "t0ken")),
        ("https://user:t%2Fken@h/whip", ("https://h/whip", "t/ken")),
    ],
)
def test_whip_takes_its_token_from_the_address(url: str, endpoint: tuple[str, str]) -> None:
    assert target.read(url, files=False).endpoint == endpoint


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (av.error.HTTPUnauthorizedError(1, ""), Failure.CREDENTIALS),
        (av.error.HTTPNotFoundError(1, ""), Failure.NOT_FOUND),
        (av.error.HTTPOtherClientError(1, ""), Failure.REFUSED),
        (av.error.HTTPServerError(1, ""), Failure.REFUSED),
        (av.error.UnknownError(1, ""), Failure.REFUSED),
        (av.error.ProtocolNotFoundError(1, ""), Failure.UNSUPPORTED),
        (BrokenPipeError(), Failure.CLOSED),
        (ConnectionResetError(), Failure.CLOSED),
        (TimeoutError(), Failure.SILENT),
        (ConnectionRefusedError(), Failure.UNREACHABLE),
        (av.error.OSError(5, "Input/output error"), Failure.UNREACHABLE),
    ],
)
def test_errors_have_their_reason(error: BaseException, failure: Failure) -> None:
    assert classify(error) is failure


def test_a_publication_comes_lives_and_is_tried_again() -> None:
    progress = Progress()
    progress.connect()
    assert (progress.phase, progress.reason) == (Phase.CONNECTING, "")
    waits = [progress.lost(0.0, Failure.UNREACHABLE) for _ in range(12)]
    assert SHORTEST_WAIT / 2 <= waits[0] <= SHORTEST_WAIT
    assert LONGEST_WAIT / 2 <= waits[-1] <= LONGEST_WAIT
    assert len(set(waits)) == 12, "jitter"
    assert (progress.phase, progress.until) == (Phase.WAITING, waits[-1])
    progress.connect()
    progress.live(100.0)
    assert (progress.phase, progress.failure, progress.until) == (Phase.LIVE, None, None)
    assert progress.lost(101.0, Failure.CLOSED) > SHORTEST_WAIT, "it was not live for long"
    progress.connect()
    progress.live(200.0)
    progress.live(200.1 + STEADY_AFTER)
    assert progress.lost(220.0, Failure.CLOSED, "x") <= SHORTEST_WAIT
    assert progress.reason == "it closed the connection (x)"
    assert progress.lost(300.0, Failure.CREDENTIALS) > LONGEST_WAIT
    assert progress.phase is Phase.FAILED
    assert progress.reconnects == 15


def test_the_rate_falls_with_a_slow_network_and_comes_back() -> None:
    rate = UploadRate(cap=6_000_000)
    now = 0.0

    def seconds(count: int, delay: float) -> int:
        nonlocal now
        for _ in range(count * 30):
            now += 1 / 30
            rate.taken(delay, now)
        return rate.estimate

    assert START < seconds(5, 0.01) < 6_000_000
    assert seconds(60, 0.01) == int(6_000_000 / HEADROOM) + 1
    assert seconds(3, 0.5) < 3_500_000
    assert seconds(60, 0.5) == FLOOR
    rate.taken(0.5, now)
    assert seconds(1, 0.01) == FLOOR, "one slow picture counts for the whole second"
    assert seconds(20, 0.01) > 3 * FLOOR


def test_messages_arrive_as_they_were_sent() -> None:
    longest = "rtmp://h/a/" + "😀" * (MAX_ADDRESS - 11)
    order = Open(longest, Kind.RTMP, tcurl=longest, proxy=65535)
    picture = Picture(5, 90_000, True)
    loud, sound = Open("rtmp://h/a", Kind.RTMP, SoundFormat(48_000, 2)), Sound(4, 90_020)
    pipe = io.BytesIO(
        b"".join(map(writer_messages.encode, (order, picture)))
        + b"12345"
        + b"".join(map(writer_messages.encode, (loud, sound)))
        + b"abcd"
    )
    assert writer_messages.read_order(pipe) == (order, b"")
    assert writer_messages.read_order(pipe) == (picture, b"12345")
    assert writer_messages.read_order(pipe) == (loud, b"")
    assert writer_messages.read_order(pipe) == (sound, b"abcd")
    assert writer_messages.read_order(pipe) is None
    assert writer_messages.read_order(io.BytesIO(writer_messages.encode(End()))) == (End(), b"")
    for report in (Ready(), Written(), Written(taken=False), Closed(Failure.CLOSED, "why")):
        assert writer_messages.decode_report(writer_messages.encode(report)) == report


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"{}", b"[]", b"5", b'{"is": "Nobody"}', b'{"is": "Open", "url": "", "kind": "x"}'),
        b'{"is": "Closed", "failure": "nonsense"}',
        json.dumps({"is": "Picture", "size": 1, "pts": 0, "keyframe": True}).encode(),
        b'{"is": "Written", "more": 1}',
        b'{"is": "Written", "taken": 1}',
    ],
)
def test_a_writer_that_says_nonsense_is_not_believed(line: bytes) -> None:
    with pytest.raises(InputError):
        writer_messages.decode_report(line)

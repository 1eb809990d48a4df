"""Addresses, the source's state machine and its clocks: no network, no waiting."""

import itertools
import math

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import InputError
from stream.ingest import address
from stream.ingest.address import Kind, Transport
from stream.ingest.clock import JUMP, TICKS, Pace, StreamClock
from stream.ingest.source import Failure, Phase, Source, classify, wait_before
from stream.limits import (
    FROZEN_AFTER,
    LONGEST_WAIT,
    MAX_ADDRESS,
    OPEN_TIMEOUT,
    PERMANENT_WAIT,
    SHORTEST_WAIT,
    SOURCE_SILENCE,
    STEADY_AFTER,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("rtsp://10.0.0.5/stream1", Kind.RTSP),
        (" RTSPS://user:p%40ss@[::1]:8554/a?b=c ", Kind.RTSP),
        ("https://host.example/live.m3u8", Kind.HTTP),
        ("film.mp4", Kind.FILE),
        ("file:///tmp/a%20b.mp4", Kind.FILE),
        ("C:film.mp4", Kind.FILE),
    ],
)
def test_addresses_that_are_taken(text: str, kind: Kind) -> None:
    assert address.read(text, files=True).kind is kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host/a",
        "concat://a|b",
        "rtsp://",
        "rtsp:///stream",
        "rtsp://host:99999/a",
        "rtsp://host/\n",
        "rtsp://host/a\x00b",
        "rtsp://host/" + "a" * MAX_ADDRESS,
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    if text == "rtsp://host/\n":
        text = "rtsp://ho\nst/"
    with pytest.raises(InputError):
        address.read(text, files=True)


@pytest.mark.parametrize("text", ["/etc/passwd", "file:///etc/passwd", "film.mp4", "FILE://x/y"])
def test_files_only_where_they_are_allowed(text: str) -> None:
    with pytest.raises(InputError, match="command line"):
        address.read(text, files=False)


PASSWORD = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20)


@given(PASSWORD, PASSWORD)
def test_a_password_is_never_shown(password: str, token: str) -> None:
    secret, other = f"S3{password}", f"T4{token}"
    text = f"rtsp://admin:{secret}@camera.example/live?auth={other}"
    assert not any(part in address.shown(text) for part in ("S3", "T4"))
    told = refusal(f"rtsp://admin:{secret}@camera.example:port/x?y={other}")
    assert not any(part in told for part in ("S3", "T4"))


def refusal(text: str) -> str:
    """What is said about an address; empty when it is taken."""
    try:
        address.read(text, files=False)
    except InputError as error:
        return str(error)
    return ""


def test_what_is_shown_still_tells_which_camera_it_is() -> None:
    assert address.shown("rtsp://a:b@host:554/x/y") == "rtsp://***@host:554/x/y"
    assert address.shown("rtsp://host/x?k=v") == "rtsp://host/x?***"
    assert address.shown("rtsp://host/x") == "rtsp://host/x"
    assert address.shown("/films/a.mp4") == "/films/a.mp4"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (av.error.HTTPUnauthorizedError(1, ""), Failure.CREDENTIALS),
        (av.error.HTTPForbiddenError(1, ""), Failure.CREDENTIALS),
        (av.error.HTTPNotFoundError(1, ""), Failure.NOT_FOUND),
        (av.error.ConnectionRefusedError(111, ""), Failure.UNREACHABLE),
        (av.error.OSError(113, ""), Failure.UNREACHABLE),
        (av.error.OSError(93, ""), Failure.TRANSPORT),
        (av.error.InvalidDataError(1, ""), Failure.NO_VIDEO),
        (av.error.DecoderNotFoundError(1, ""), Failure.NO_VIDEO),
        (av.error.ExitError(1, ""), Failure.SILENT),
        (av.error.TimeoutError(110, ""), Failure.SILENT),
        (av.error.EOFError(1, ""), Failure.CLOSED),
        (RuntimeError("?"), Failure.UNREACHABLE),
    ],
)
def test_errors_are_classified(error: Exception, failure: Failure) -> None:
    assert classify(error) is failure


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_waits_are_bounded_and_jittered(attempt: int, draw: float) -> None:
    assert SHORTEST_WAIT / 2 <= wait_before(attempt, draw) <= LONGEST_WAIT


def test_nonsense_is_final_only_from_what_never_was_live() -> None:
    source = Source()
    source.connect(0.0)
    assert source.lost(0.0, Failure.NO_VIDEO) >= PERMANENT_WAIT / 2
    assert source.phase is Phase.FAILED
    live(source, 1.0)
    assert source.lost(2.0, Failure.NO_VIDEO) <= LONGEST_WAIT
    assert (source.phase, source.failure) == (Phase.WAITING, Failure.CLOSED), "it was cut off"
    source.connect(3.0)
    assert source.lost(3.0, Failure.NO_VIDEO) <= LONGEST_WAIT
    assert (source.phase, source.failure) == (Phase.WAITING, Failure.NO_VIDEO)


def live(source: Source, now: float) -> float:
    source.connect(now)
    source.opened(now, "h264")
    source.packet(now)
    source.picture(now, (640, 480))
    return now


def test_a_source_that_is_killed_waits_longer_each_time_and_starts_afresh_once_steady() -> None:
    source = Source()
    now = live(source, 0.0)
    waits = []
    for _ in range(9):
        waits.append(source.lost(now, Failure.CLOSED))
        assert source.phase is Phase.WAITING
        now = live(source, now + waits[-1])
    assert all(later > SHORTEST_WAIT for later in waits[2:])
    assert waits[-1] > LONGEST_WAIT / 2 - 0.01
    assert source.reconnects == 9
    source.picture(now + STEADY_AFTER + 1, (640, 480))
    assert source.lost(now + STEADY_AFTER + 1, Failure.CLOSED) <= SHORTEST_WAIT


def test_a_frozen_source_is_shown_soon_and_given_up_within_five_seconds() -> None:
    source = Source()
    live(source, 100.0)
    assert source.look(100.0 + FROZEN_AFTER) is Phase.LIVE
    assert source.look(100.0 + FROZEN_AFTER + 0.1) is Phase.FROZEN
    assert source.deadline == 100.0 + SOURCE_SILENCE < 105.0
    source.connect(200.0)
    assert source.deadline == 200.0 + OPEN_TIMEOUT < 205.0


def test_wrong_credentials_are_told_and_tried_slowly() -> None:
    source = Source(("tcp", "udp"))
    source.connect(0.0)
    assert source.lost(0.0, Failure.CREDENTIALS) >= PERMANENT_WAIT / 2
    assert source.phase is Phase.FAILED
    assert source.transport == "tcp", "another transport helps nothing"
    live(source, 200.0)
    assert (source.phase, source.failure) == (Phase.LIVE, None)


def test_each_transport_gets_one_turn_before_a_wait() -> None:
    for transport, first, second in ((Transport.AUTO, "tcp", "udp"), (Transport.UDP, "udp", "tcp")):
        source = Source(transport.order)
        source.connect(0.0)
        assert source.transport == first
        assert source.lost(0.0, Failure.TRANSPORT) == 0.0
        source.connect(0.0)
        assert source.transport == second
        assert source.lost(0.0, Failure.SILENT) > 0.0
        assert source.transport == first
    source = Source(Transport.TCP.order)
    assert source.lost(0.0, Failure.TRANSPORT) > 0.0
    assert source.transport == "tcp"


def test_the_transport_that_works_is_kept() -> None:
    source = Source(Transport.AUTO.order)
    source.connect(0.0)
    source.lost(0.0, Failure.TRANSPORT)
    live(source, 0.0)
    source.lost(1.0, Failure.SILENT)
    assert source.transport == "udp"


def test_a_file_that_is_played_once_ends() -> None:
    source = Source(once=True)
    live(source, 0.0)
    assert math.isinf(source.lost(1.0, Failure.CLOSED))
    assert source.phase is Phase.ENDED


def test_a_changed_codec_is_counted() -> None:
    source = Source()
    live(source, 0.0)
    source.connect(1.0)
    source.opened(1.0, "h264")
    source.connect(2.0)
    source.opened(2.0, "hevc")
    assert (source.codec, source.codec_changes) == ("hevc", 1)


HAPPENINGS = ("connect", "opened", "packet", "picture", *Failure)
EVENTS = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.floats(0, 9)))


@given(EVENTS, st.booleans())
def test_whatever_happens_there_is_a_deadline_and_a_phase(
    events: list[tuple[str, float]], once: bool
) -> None:
    source, now = Source(("tcp", "udp"), once=once), 0.0
    source.connect(now)
    for event, later in events:
        now += later
        match event:
            case "connect":
                source.connect(now)
            case "opened":
                source.opened(now, "h264")
            case "packet":
                source.packet(now)
            case "picture":
                source.picture(now, (4, 4))
            case failure:
                wait = source.lost(now, Failure(failure))
                assert wait >= 0
                assert (source.phase is Phase.ENDED) == math.isinf(wait)
                source.connect(now)
        assert now <= source.deadline <= now + 20
        assert source.look(now) in Phase


TIMES = st.lists(st.tuples(st.floats(-1e6, 1e6) | st.none(), st.floats(0, 10)), max_size=50)


@given(TIMES)
def test_times_rise_and_stay_near_ours_whatever_a_camera_says(
    times: list[tuple[float | None, float]],
) -> None:
    clock, now, last = StreamClock(), 1000.0, -1
    for pts, later in times:
        now += later
        tick = clock.tick(pts, now)
        assert tick > last
        assert tick <= max(last + 1, round((now - 1000.0 + JUMP) * TICKS) + 1)
        last = tick


def test_times_are_as_far_apart_as_the_camera_says_although_the_network_trembles() -> None:
    clock = StreamClock()
    trembles = (0.0, 0.02, 0.005, 0.03)
    ticks = [clock.tick(i / 30, 50 + i / 30 + trembles[i % 4]) for i in range(300)]
    steps = [later - sooner for sooner, later in itertools.pairwise(ticks)]
    assert all(abs(step - TICKS / 30) < 10 for step in steps)
    assert clock.jumps == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5.0, -5.0])
def test_a_jump_of_the_cameras_clock_is_counted_and_not_followed(jump: float) -> None:
    clock = StreamClock()
    before = [clock.tick(10 + i / 30, i / 30) for i in range(30)]
    after = [clock.tick(10 + jump + i / 30, i / 30) for i in range(30, 60)]
    assert clock.jumps == 1
    assert abs(after[0] - before[-1] - TICKS / 30) < 10


def test_a_new_connection_is_no_jump() -> None:
    clock = StreamClock()
    clock.tick(1000.0, 0.0)
    clock.restart()
    assert clock.tick(0.0, 7.0) == 7 * TICKS
    assert clock.jumps == 0


def test_a_clock_that_stands_or_is_not_there_is_replaced_by_ours() -> None:
    for pts in (None, 5.0):
        clock = StreamClock()
        assert [clock.tick(pts, i / 10) for i in range(5)] == [i * TICKS // 10 for i in range(5)]
        assert clock.jumps == 0


def test_a_cameras_drift_is_followed() -> None:
    clock = StreamClock()
    count = 30 * 3600
    last = [clock.tick(i / 30 * 1.0002, i / 30) for i in range(count)][-1]
    assert abs(last / TICKS - count / 30) < 0.1
    assert clock.jumps == 0


def test_a_file_is_played_at_its_own_speed() -> None:
    pace, now = Pace(), 5.0
    for index in range(50):
        now += pace.wait(index / 25, now)
    assert now == pytest.approx(5.0 + 49 / 25)


def test_what_is_late_is_not_hurried_afterwards() -> None:
    pace = Pace()
    pace.wait(0.0, 0.0)
    assert pace.wait(0.04, 3.0) == 0.0
    assert pace.wait(0.08, 3.0) == pytest.approx(0.04)

"""Keys and session tokens at the door of live sessions: who gets in, how often and how long."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from rtc_client import Scene, eventually
from rtsp_camera import write_clip
from test_keys import MIDNIGHT, Clock, identity
from whip_client import SDP, Party

import stream.server.gate
from stream.database import Database
from stream.errors import KeyRefused, TooMany
from stream.server import tokens
from stream.server.app import create_app
from stream.server.gate import GATE
from stream.server.keys import Keys
from stream.server.live_keys import LiveKeys
from stream.server.rtc import PEERS
from stream.server.session_tokens import read_seconds
from stream.settings import Settings

Http = TestClient[Any, Any]

SECRET = bytes(range(32))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "data")
    yield database
    database.close()


def test_a_token_is_of_its_key_and_its_time() -> None:
    token = tokens.make("0123456789ab", 1000, SECRET)
    assert tokens.read(token, 999, SECRET) == "0123456789ab"
    for wrong in (
        "", "sgt_", token + "x", token.replace("1000", "1001"), token.replace("0123", "1123"),
        token.upper(), token[:-2] + "__",
    ):  # fmt: skip
        with pytest.raises(KeyRefused, match="wrong"):
            tokens.read(wrong, 999, SECRET)
    with pytest.raises(KeyRefused, match="wrong"):
        tokens.read(token, 999, bytes(32))
    with pytest.raises(KeyRefused, match="time is over"):
        tokens.read(token, 1000, SECRET)


def test_a_token_ends_with_its_key(database: Database) -> None:
    keys = Keys(database)
    key = keys.create("k")
    token = keys.session_token(identity(key), 2**33)
    assert keys.identify(token) == keys.identify(key) == identity(key)
    assert Keys(database).identify(token) == identity(key)  # another server's
    with pytest.raises(KeyRefused):
        keys.check(token)  # it opens nothing that costs credits
    keys.revoke(identity(key))
    with pytest.raises(KeyRefused, match="revoked"):
        keys.identify(token)


def test_how_long_it_is_to_last() -> None:
    assert read_seconds(b"") == 3600
    assert read_seconds(b'{"seconds": 60}') == 60
    for wrong in (b"[", b"60", b'{"seconds": true}', b'{"seconds": 0}', b'{"seconds": 86401}'):
        with pytest.raises(Exception, match=r"JSON|seconds"):
            read_seconds(wrong)


def test_sessions_and_minutes_of_a_key(database: Database) -> None:
    clock = Clock()
    keys = Keys(database, clock)
    alive = {"a", "b"}
    one, two = (
        LiveKeys(database, keys, name, lambda owner: owner in alive, clock) for name in "ab"
    )
    key = identity(keys.create("k", daily=60_000, max_sessions=2))
    first, second = one.open(key), two.open(key)
    with pytest.raises(TooMany, match="2 live sessions"):
        one.open(key)

    clock.time += 10
    assert one.count(first) is None
    assert keys.get(key).used_today == 10_000
    clock.time -= 100  # set back
    assert one.count(first) is None
    assert keys.get(key).used_today == 10_000
    clock.time += 110
    alive.remove("b")  # killed: its session is gone, and not counted to its end
    third = one.open(key)
    assert keys.get(key).live == 2
    assert two.count(second) == "its key is gone"
    one.close(third)
    one.close(third)
    assert keys.get(key).live == 1

    # One day's share is for live sessions and jobs together.
    with database.transaction() as connection, pytest.raises(TooMany, match="left of 60"):
        keys.reserve(connection, key, "job", 55_000)
    assert "used its 60.0 s" in str(one.count(first))
    one.close(first)
    with pytest.raises(TooMany, match="used its") as error:
        one.open(key)
    assert error.value.retry_after == pytest.approx(MIDNIGHT + 86400 - clock.time, abs=2)
    clock.time = MIDNIGHT + 86401
    again = one.open(key)
    keys.revoke(key)
    assert one.count(again) == "its key was revoked"
    with pytest.raises(KeyRefused):
        one.open(key)


def test_a_clock_that_is_set_forward_uses_up_nobodys_day(database: Database) -> None:
    """As that of a machine without one of its own, once it has a network."""
    clock = Clock()
    keys = Keys(database, clock)
    live = LiveKeys(database, keys, "a", lambda owner: True, clock)
    key = identity(keys.create("k", daily=3_600_000))
    session = live.open(key)
    clock.time = MIDNIGHT + 3 * 86400 + 1000
    assert live.count(session) is None
    assert keys.get(key).used_today <= 60_000


def test_an_older_database_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    database = Database(folder)
    key = Keys(database).create("k")
    database.close()
    with sqlite3.connect(folder / "segstream.db") as old:
        old.execute("ALTER TABLE keys DROP COLUMN max_sessions")
        old.execute("DROP TABLE live")
        old.execute("DROP TABLE secrets")
        old.execute("PRAGMA user_version = 1")
    old.close()
    for _ in range(2):
        database = Database(folder)
        assert Keys(database).check(key).max_sessions == 4
        database.close()


@asynccontextmanager
async def served(data: Path, **settings: Any) -> AsyncIterator[Http]:
    app = create_app(Settings(data=data, **settings), bright_supervisor())
    async with TestClient(TestServer(app)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


LIVE = (
    ("POST", "/rtc"), ("DELETE", "/rtc/x"), ("GET", "/ice-servers"),
    ("POST", "/whip"), ("DELETE", "/whip/x"), ("PATCH", "/whip/x"), ("POST", "/whep/x"),
    ("DELETE", "/whep/x/y"), ("POST", "/sessions/x/background"), ("GET", "/sessions/x/mjpeg"),
    ("GET", "/sessions/x/snapshot.jpg"), ("GET", "/sessions/x/recording"),
    ("GET", "/cameras"), ("POST", "/cameras"),
    ("GET", "/cameras/x"), ("DELETE", "/cameras/x"), ("POST", "/cameras/x/recording"),
    ("GET", "/cameras/x/mjpeg"), ("GET", "/cameras/x/snapshot.jpg"),
)  # fmt: skip


async def test_every_live_path_is_behind_the_gate(tmp_path: Path) -> None:
    async with served(tmp_path, session_keys="all") as http:
        key = http.app[GATE].keys.create("k")
        answer = await http.post("/session-tokens", headers={"x-api-key": key})
        assert answer.status == 201
        token = (await answer.json())["token"]
        for method, path in LIVE:
            for given in ({}, bearer("wrong"), {"x-api-key": token[:-1]}):
                refused = await http.request(method, path, headers=given)
                assert refused.status == 401, (method, path)
                told = refused.headers["WWW-Authenticate"]
                assert told.startswith("Bearer")
                assert ("invalid_token" in told) == bool(given)
            for headers, query in (
                (bearer(token), {}), (bearer(key), {}), ({"x-api-key": key}, {}),
                ({}, {"token": token}),
            ):  # fmt: skip
                answer = await http.request(method, path, headers=headers, params=query)
                changes_cameras = path.startswith("/cameras") and method != "GET"
                good = (403,) if changes_cameras else (200, 400, 404, 415)
                assert answer.status in good, (method, path, answer.status)
        # The page and what is asked by machines stay open; jobs want the key itself.
        for path in ("/", "/main.js", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert (await http.get(path)).status == 200
        assert (await http.get("/backgrounds")).status == 200
        assert (await http.get("/nowhere")).status == 404
        assert (await http.get("/jobs", headers={"x-api-key": token})).status == 401
        assert (await http.options("/whip")).status == 200  # a preflight bears nothing
        # No later route is forgotten: all are behind the gate, or named as open.
        first = {r.canonical.split("/")[1] for r in http.app.router.resources()}
        guarded = {path.split("/")[1] for _, path in LIVE}
        assert first == guarded | stream.server.gate.OPEN | {"{path}"}


async def test_only_a_key_makes_a_token(tmp_path: Path) -> None:
    async with served(tmp_path) as http:
        key = http.app[GATE].keys.create("k")
        for headers in ({}, {"x-api-key": "sgs_x"}, bearer(key)):
            assert (await http.post("/session-tokens", headers=headers)).status == 401
        headers = {"x-api-key": key}
        answer = await http.post("/session-tokens", headers=headers, json={"seconds": 60})
        found = await answer.json()
        assert found["expires_in"] == 60
        assert answer.headers["Cache-Control"] == "no-store"
        again = {"x-api-key": found["token"]}
        assert (await http.post("/session-tokens", headers=again)).status == 401
        for wrong in ({"seconds": 10**6}, {"seconds": "60"}, [1]):
            answer = await http.post("/session-tokens", headers=headers, json=wrong)
            assert answer.status == 400


@pytest.mark.parametrize(
    ("settings", "headers", "whip", "cameras"),
    [
        ({}, {}, 415, 200),
        ({"token": "operators-token"}, {}, 401, 200),
        ({"token": "operators-token"}, bearer("operators-token"), 415, 200),
        ({}, bearer("wrong"), 415, 200),  # not asked for
        ({"token": "operators-token"}, bearer("wrong"), 401, 200),
        ({"session_keys": "remote"}, {}, 415, 200),
        ({"session_keys": "remote"}, {"Via": "1.1 proxy"}, 401, 401),
        ({"session_keys": "remote"}, {"X-Forwarded-For": "203.0.113.7"}, 401, 401),
        ({"session_keys": "remote", "hosts": ("v.example",)}, {"Host": "v.example"}, 401, 401),
        ({"session_keys": "remote", "token": "operators-token"}, {}, 401, 200),
        ({"session_keys": "all"}, {}, 401, 401),
        ({"session_keys": "all", "token": "operators-token"}, bearer("operators-token"), 415, 200),
    ],
)
async def test_who_needs_none(
    tmp_path: Path, settings: dict[str, Any], headers: dict[str, str], whip: int, cameras: int
) -> None:
    async with served(tmp_path, **settings) as http:
        http.app[GATE].keys.create("k")
        assert (await http.post("/whip", headers=headers)).status == whip
        assert (await http.get("/cameras", headers=headers)).status == cameras


async def test_who_may_only_read_is_told(tmp_path: Path) -> None:
    """So that a page shows no button that the server refuses."""
    operator, clip = bearer("operators-token"), write_clip(tmp_path / "clip.mp4")
    settings = {"session_keys": "all", "token": "operators-token", "camera_files": True}
    async with served(tmp_path, record=tmp_path, **settings) as http:
        key = bearer(http.app[GATE].keys.create("k"))
        given = {"name": "film", "url": str(clip)}
        assert (await http.post("/cameras", json=given, headers=operator)).status == 201
        publisher = Party(Scene())
        try:
            await publisher.begin(http, "/whip?session=studio", **key)
            for path, by_key in (
                ("/cameras/film/recording", False),
                ("/sessions/studio/recording", False),
                ("/cameras/film/publications", False),
                ("/sessions/studio/publications", True),
            ):
                for headers, allowed in ((key, by_key), (operator, True)):
                    told = await (await http.get(path, headers=headers)).json()
                    assert told["allowed"] == allowed, path
                    wrong = await http.post(path, json=[], headers=headers)
                    assert (wrong.status != 403) == allowed, path
        finally:
            await publisher.close()


async def test_sessions_count_for_their_key_and_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.gate, "LIVE_COUNT_INTERVAL", 0.2)
    async with served(tmp_path, session_keys="all", token="operators-token") as http:
        keys = http.app[GATE].keys
        key, other = keys.create("k", max_sessions=1), keys.create("other")
        answer = await http.post("/session-tokens", headers={"x-api-key": key})
        mine = bearer((await answer.json())["token"])
        publisher, second, viewer = Party(Scene()), Party(Scene()), Party(watches=("video",))
        try:
            bad = await http.post("/whip?session=a", headers={**SDP, **mine}, data="v=0")
            assert bad.status == 422
            await publisher.begin(http, "/whip?session=studio", **mine)
            assert keys.get(identity(key)).live == 1
            offer = (await second.offer())["sdp"]
            answer = await http.post("/whip", headers={**SDP, **mine}, data=offer)
            assert (answer.status, "Retry-After" in answer.headers) == (429, True)

            # Watched with the key's token, and with the operator's; not with another key.
            await viewer.begin(http, "/whep/studio", **mine)
            path = "/sessions/studio/snapshot.jpg"
            assert (await http.get(path, headers=bearer(other))).status == 404
            assert (await http.delete("/whip/studio", headers=bearer(other))).status == 404
            query = {"token": mine["Authorization"].split()[1]}
            assert (await http.get(path, params=query)).status == 200
            assert (await http.get(path, headers=bearer("operators-token"))).status == 200

            # Nobody's key writes to the operator's disk.
            path = "/sessions/studio/recording"
            assert (await http.post(path, headers=mine)).status == 403
            assert (await http.post(path, headers=bearer("operators-token"))).status == 400
            assert (await http.get(path, headers=mine)).status == 200
            assert (await http.get(path, headers=bearer(other))).status == 404

            # Its time is counted while it goes on, and it ends when its key does.
            await eventually(lambda: keys.get(identity(key)).used_today > 200)
            keys.revoke(identity(key))
            await eventually(lambda: len(http.app[PEERS]) == 0)
            await eventually(lambda: keys.get(identity(key)).live == 0)
        finally:
            for party in (publisher, second, viewer):
                await party.close()
            await asyncio.sleep(0)

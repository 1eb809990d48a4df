"""WHIP: every request's answer, and publishers whose picture comes through."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from multidict import MultiDict
from rtc_client import Client, Scene, Tone, eventually
from test_webrtc import GREEN, is_near, peers, pixel
from whip_client import FRAGMENT, SDP, Party

import stream.server.rtc
from stream.compose.effects import Effect
from stream.errors import EffectError, InputError, PromptError
from stream.limits import MAX_SDP
from stream.network import ice_servers
from stream.server.app import create_app
from stream.server.whip import read_query
from stream.settings import Settings

Http = TestClient[Any, Any]
TOKEN = "correct-horse-battery"
SDP_TYPE = SDP["Content-Type"]


async def served(settings: Settings) -> AsyncIterator[Http]:
    supervisor = bright_supervisor()
    supervisor.words = ("cat", "person")
    async with TestClient(TestServer(create_app(settings, supervisor))) as client:
        # The worker has told its own words, none, by now.
        supervisor.words = ("cat", "person")
        yield client


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async for client in served(Settings()):
        yield client


@pytest.fixture
async def guarded() -> AsyncIterator[Http]:
    servers = ice_servers('stun:stun.example:3478,turn:a:b"c@turn.example?transport=tcp')
    async for client in served(Settings(token=TOKEN)):
        # Only told to clients: nobody here answers, and gathering would wait for it.
        peers(client).network = type(peers(client).network)(ice_servers=servers)
        yield client


@pytest.fixture
async def sdp() -> AsyncIterator[str]:
    party = Party(Scene())
    yield (await party.offer())["sdp"]
    await party.close()


@pytest.fixture
async def publisher(http: Http) -> AsyncIterator[Party]:
    party = Party(Scene())
    await party.begin(http, "/whip?session=studio")
    yield party
    await party.close()


COMPLIANCE: list[tuple[str, str, dict[str, str], str, int, dict[str, str]]] = [
    # method, path, headers, body ("SDP": a good offer), status, headers of the answer
    ("POST", "/whip", SDP, "SDP", 201, {"Content-Type": "application/sdp"}),
    ("POST", "/whip", {"Content-Type": "application/sdp; charset=utf-8"}, "SDP", 201, {}),
    ("POST", "/whip", {"Content-Type": "application/json"}, "{}", 415, {"Accept-Post": SDP_TYPE}),
    ("POST", "/whip", {"Content-Type": "text/plain"}, "SDP", 415, {}),
    ("POST", "/whip", SDP, "", 400, {}),
    ("POST", "/whip", SDP, "hello", 400, {}),
    ("POST", "/whip", SDP, "v=0\r\nm=video", 400, {}),
    ("POST", "/whip", SDP, "v=0\r\n", 422, {}),
    ("POST", "/whip", SDP, "v=0" + "x" * MAX_SDP, 413, {}),
    ("POST", "/whip?effect=sparkle", SDP, "SDP", 400, {}),
    ("POST", "/whip?effect=picture", SDP, "SDP", 400, {}),
    ("POST", "/whip?effect=picture&background=nowhere", SDP, "SDP", 400, {}),
    ("POST", "/whip?effect=blur&effect=pixelate:objects=none", SDP, "SDP", 400, {}),
    ("POST", "/whip?effect=none" + "&effect=none" * 8, SDP, "SDP", 413, {}),
    ("POST", "/whip?text=zeppelin", SDP, "SDP", 400, {}),
    ("POST", "/whip?sparkle=1", SDP, "SDP", 400, {}),
    ("POST", "/whip?session=studio", SDP, "SDP", 409, {}),
    ("GET", "/whip", {}, "", 405, {"Allow": "OPTIONS,POST"}),
    ("HEAD", "/whip", {}, "", 405, {"Allow": "OPTIONS,POST"}),
    ("PUT", "/whip", SDP, "SDP", 405, {"Allow": "OPTIONS,POST"}),
    ("DELETE", "/whip", {}, "", 405, {"Allow": "OPTIONS,POST"}),
    ("OPTIONS", "/whip", {}, "", 200, {"Allow": "POST, OPTIONS", "Accept-Post": SDP_TYPE}),
    ("GET", "/whip/studio", {}, "", 405, {"Allow": "DELETE,OPTIONS,PATCH"}),
    ("POST", "/whip/studio", SDP, "SDP", 405, {"Allow": "DELETE,OPTIONS,PATCH"}),
    ("PUT", "/whip/studio", SDP, "SDP", 405, {}),
    ("OPTIONS", "/whip/studio", {}, "", 200, {"Accept-Patch": FRAGMENT["Content-Type"]}),
    ("DELETE", "/whip/nobody", {}, "", 404, {}),
    ("PATCH", "/whip/nobody", FRAGMENT, "a=ice-ufrag:x", 404, {}),
    ("DELETE", "/rtc/studio", {}, "", 404, {}),
    ("PATCH", "/whip/studio", SDP, "SDP", 415, {"Accept-Patch": FRAGMENT["Content-Type"]}),
    ("PATCH", "/whip/studio", FRAGMENT, "", 400, {}),
    ("PATCH", "/whip/studio", FRAGMENT, "a=candidate:rubbish", 400, {}),
    ("PATCH", "/whip/studio", FRAGMENT, "a=ice-ufrag:new0\r\na=ice-pwd:" + "x" * 22, 422, {}),
    ("PATCH", "/whip/studio", {**FRAGMENT, "If-Match": '"old"'}, "a=end-of-candidates", 412, {}),
    ("PATCH", "/whip/studio", {**FRAGMENT, "If-Match": '"studio"'}, "a=end-of-candidates", 204, {}),
    ("DELETE", "/whip/studio", {}, "", 200, {}),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "told"), COMPLIANCE)
async def test_each_request_has_its_answer(
    http: Http,
    publisher: Party,
    sdp: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: str,
    status: int,
    told: dict[str, str],
) -> None:
    data = (sdp if body == "SDP" else body).encode()
    response = await http.request(method, path, data=data, headers=headers)
    text = await response.text()
    assert response.status == status, text
    assert told.items() <= {key: response.headers.get(key) for key in told}.items()
    if status >= 400 and method != "HEAD":
        assert (await response.json())["error"]["message"]
    assert len(peers(http)) == (
        2 if status == 201 else 0 if method == "DELETE" and status == 200 else 1
    )


async def test_the_answer_to_an_offer(http: Http, sdp: str) -> None:
    response = await http.post("/whip", data=sdp, headers=SDP)
    answer = await response.text()
    location = response.headers["Location"]
    assert location == f"/whip/{location.rpartition('/')[2]}"
    assert response.headers["ETag"] == f'"{location.rpartition("/")[2]}"'
    assert response.headers["Accept-Patch"] == FRAGMENT["Content-Type"]
    assert "a=recvonly" in answer
    assert "a=setup:passive" in answer, "RFC 9725 section 4.4"
    assert answer.split("a=candidate:")[1].split()[4] == "127.0.0.1", "where it was reached"
    assert (await http.delete(location)).status == 200
    assert (await http.delete(location)).status == 404


async def test_a_full_server_says_when_to_come_back(
    http: Http, publisher: Party, sdp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.server.rtc, "MAX_SESSIONS", 1)
    response = await http.post("/whip", data=sdp, headers=SDP)
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer \u00e4"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 201),
        ({"Authorization": f"bearer  {TOKEN}"}, 201),
    ],
)
async def test_a_token_opens_the_door(
    guarded: Http, sdp: str, given: dict[str, str], status: int
) -> None:
    response = await guarded.post("/whip", data=sdp, headers={**SDP, **given})
    assert response.status == status
    if status == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        for method, path in (("DELETE", "/whip/x"), ("POST", "/whep/x"), ("GET", "/whip")):
            assert (await guarded.request(method, path, headers=given)).status == 401
    assert (await guarded.get("/healthz")).status == 200, "the page needs no token"


async def test_ice_servers_are_told_to_those_who_may_know(guarded: Http, sdp: str) -> None:
    wanted = [
        '<stun:stun.example:3478>; rel="ice-server"',
        '<turn:turn.example?transport=tcp>; rel="ice-server"; username="a"; '
        r'credential="b\"c"; credential-type="password"',
    ]
    assert "Link" not in (await guarded.options("/whip")).headers
    told = await guarded.options("/whip", headers={"Authorization": f"Bearer {TOKEN}"})
    assert told.headers.getall("Link") == wanted
    page = await (await guarded.get("/ice-servers")).json()
    assert page["iceServers"] == [
        {"urls": "stun:stun.example:3478"},
        {"urls": "turn:turn.example?transport=tcp", "username": "a", "credential": 'b"c'},
    ]


async def test_pages_of_other_sites(http: Http, guarded: Http, sdp: str) -> None:
    evil = {"Origin": "https://evil.example"}
    preflight = {**evil, "Access-Control-Request-Method": "POST"}
    for path in ("/whip", "/whep/x", "/rtc"):
        response = await http.options(path, headers=preflight)
        assert response.status in (403, 405)
        assert "Access-Control-Allow-Origin" not in response.headers
    assert (await http.post("/whip", data=sdp, headers={**SDP, **evil})).status == 403
    # Who has the token was meant to have it, and a browser does not add it by itself.
    response = await guarded.options("/whip", headers=preflight)
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == evil["Origin"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    response = await guarded.post("/whip", data=sdp, headers={**SDP, **evil})
    assert response.status == 401
    assert response.headers["Access-Control-Allow-Origin"] == evil["Origin"], "it may read why"
    assert (await guarded.post("/rtc", json={}, headers=evil)).status == 403


async def test_pages_under_the_operators_own_names(sdp: str) -> None:
    async for http in served(Settings(hosts=("studio.example",))):
        own = {"Origin": "https://studio.example"}
        response = await http.post("/whip", data=sdp, headers={**SDP, **own})
        assert response.status == 201
        assert response.headers["Access-Control-Allow-Origin"] == own["Origin"]
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        assert response.headers["Vary"] == "Origin"
        assert (await http.post("/rtc", json={}, headers=own)).status == 403


async def test_the_effect_is_on_the_first_picture_already(http: Http) -> None:
    publisher, viewer = Party(Scene(320, 240)), Party(watches=("video",))
    await publisher.begin(http, "/whip?effect=colour&session=studio")
    await viewer.begin(http, "/whep/studio")
    await viewer.until(lambda: viewer.pictures)
    assert is_near(pixel(viewer.pictures[0], 0.05, 0.05), GREEN), "the room is never seen"
    await viewer.until(lambda: is_near(pixel(viewer.pictures[-1], 0.45, 0.5), (230, 230, 60)))
    assert is_near(pixel(viewer.pictures[-1], 0.05, 0.05), GREEN)
    assert peers(http).session("studio").state.names == {1: "person"}
    await publisher.close()
    await viewer.close()


async def test_all_effects_of_a_stack_are_on_the_first_picture_and_can_be_switched(
    http: Http,
) -> None:
    publisher, viewer = Party(Scene(320, 240)), Party(watches=("video",))
    stack = "effect=colour&effect=desaturate:target=both:strength=1&colour=%230000ff"
    await publisher.begin(http, f"/whip?{stack}&session=studio")
    await viewer.begin(http, "/whep/studio")
    await viewer.until(lambda: viewer.pictures)
    red, green, blue = pixel(viewer.pictures[0], 0.05, 0.05)
    assert max(red, green, blue) - min(red, green, blue) < 12, "blue, then grey"
    async with http.patch("/sessions/studio", json={"effect": ["blur", "colour"]}) as response:
        assert response.status == 200
        found = (await response.json())["effects"]
    assert [effect["name"] for effect in found] == ["blur", "colour"]
    await viewer.until(lambda: is_near(pixel(viewer.pictures[-1], 0.05, 0.05), GREEN))
    for wrong, status in (
        ({"effect": "picture"}, 400),
        ({"effect": ["none"] * 9}, 413),
        ({"effects": ["none"]}, 400),
    ):
        assert (await http.patch("/sessions/studio", json=wrong)).status == status
    assert (await http.patch("/sessions/nobody", json={"effect": "none"})).status == 404
    assert [effect.name for effect in peers(http).session("studio").effects] == ["blur", "colour"]
    await publisher.close()
    await viewer.close()


async def test_who_switches_effects_needs_the_token(guarded: Http, sdp: str) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    path, wanted = "/sessions/studio", {"effect": "none"}
    response = await guarded.post("/whip?session=studio", data=sdp, headers={**SDP, **bearer})
    assert response.status == 201
    assert (await guarded.patch(path, json=wanted)).status == 401
    assert (await guarded.patch(path, json=wanted, headers=bearer)).status == 200


async def test_words_are_asked_for(http: Http, sdp: str) -> None:
    response = await http.post("/whip?session=zoo&text=cat&text=person", data=sdp, headers=SDP)
    assert response.status == 201
    assert peers(http).session("zoo").state.names == {1: "cat", 2: "person"}


async def test_candidates_that_come_late_connect(http: Http) -> None:
    """An offer without any, as trickling clients send it."""
    party = Party(Scene())
    offer = (await party.offer())["sdp"]
    lines = offer.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate")]
    bare = [line for line in lines if not line.startswith(("a=candidate", "a=end-of"))]
    assert candidates
    answer = await http.post(
        "/whip?session=late", data="".join(f"{line}\r\n" for line in bare), headers=SDP
    )
    assert answer.status == 201
    connection = peers(http).peer("late").connection
    (ice,) = connection.rtc._RTCPeerConnection__iceTransports
    assert not ice._connection.remote_candidates
    ufrag = next(line for line in lines if line.startswith("a=ice-ufrag"))
    body = "\r\n".join([ufrag, "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:0", *candidates, ""])
    for _ in range(2):
        response = await http.patch("/whip/late", data=body, headers=FRAGMENT)
        assert response.status == 204
    assert len(ice._connection.remote_candidates) == len(candidates)
    flood = "\r\n".join([ufrag, *candidates * 60])
    response = await http.patch("/whip/late", data=flood, headers=FRAGMENT)
    assert response.status in (400, 413)
    await party.close()


async def test_sound_goes_through_to_viewers(http: Http) -> None:
    publisher, viewer = Party(Tone(), Scene()), Party(watches=("audio", "video"))
    await publisher.begin(http, "/whip?session=studio")
    await viewer.begin(http, "/whep/studio")
    await viewer.until(lambda: len(viewer.sounds) > 60 and viewer.pictures)
    loudness = [abs(sound.to_ndarray()).max() for sound in viewer.sounds]
    assert max(loudness) > 5_000, "the beep"
    await publisher.close()
    await viewer.close()


async def test_a_publisher_that_leaves_ends_its_session(http: Http) -> None:
    publisher = Party(Scene())
    await publisher.begin(http, "/whip")
    await eventually(lambda: publisher.connection.connectionState == "connected")
    assert (await http.delete(publisher.location)).status == 200
    await eventually(lambda: publisher.connection.connectionState == "closed")
    assert len(peers(http)) == 0
    await publisher.close()


async def test_the_page_still_has_its_own_door(http: Http) -> None:
    client = Client(Scene())
    await client.connect(http)  # type: ignore[arg-type]
    assert (await http.delete(f"/whip/{client.session}")).status == 404
    assert (await http.delete(f"/rtc/{client.session}")).status == 204
    await client.close()


def query(**given: str) -> Any:
    return read_query(MultiDict(given))


def test_queries() -> None:
    stack, words, name = query()
    assert (stack, words, name) == ((Effect(),), [], None)
    stack, words, name = query(effect="blur", strength="0.8", text="person", session="a-b_1")
    assert (stack, words, name) == ((Effect("blur", 0.8),), ["person"], "a-b_1")
    given = MultiDict([("effect", "blur"), ("effect", "pixelate:objects=1,2:strength=1")])
    given.update({"strength": "0.25", "fit": "contain"})
    stack, _, _ = read_query(given)
    assert stack == (
        Effect("blur", 0.25, fit="contain"),
        Effect("pixelate", 1, objects=(1, 2), fit="contain"),
    )


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"effect": "sparkle"}, EffectError, "none, overlay, blur"),
        ({"strength": "2"}, EffectError, "0 to 1"),
        ({"strength": "nan"}, EffectError, "0 to 1"),
        ({"strength": "much"}, EffectError, "a number"),
        ({"effect": "blur:target=sky"}, EffectError, "object, background, both"),
        ({"objects": "cat"}, EffectError, "such as 1,2"),
        ({"colour": "red"}, EffectError, "#rrggbb"),
        ({"text": " "}, PromptError, "text=person"),
        ({"text": "x" * 61}, PromptError, "60"),
        ({"session": "../etc"}, InputError, "A-Z"),
        ({"efect": "blur"}, InputError, "effect, strength"),
    ],
)
def test_queries_that_mean_nothing(
    given: dict[str, str], error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message):
        query(**given)

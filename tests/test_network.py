"""The operator's network settings: read, refused, and used by the server's own connections."""

import asyncio
import errno
import inspect
import socket
from typing import Any

import aioice.ice
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aioice import stun
from aiortc import RTCPeerConnection
from fake_tracker import bright_supervisor
from rtc_client import Scene
from whip_client import SDP, Party

from stream.cli import main
from stream.errors import InputError
from stream.network import (
    TURN_LIFETIME,
    IceServer,
    Network,
    ice_servers,
    public_address,
    turn_credentials,
    udp_ports,
)
from stream.server import ice, patches
from stream.server.answer import with_first, with_public_address
from stream.server.app import create_app
from stream.settings import Settings


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ()),
        ("stun:stun.example", (IceServer("stun:stun.example"),)),
        ("stun:192.0.2.1:3478", (IceServer("stun:192.0.2.1:3478"),)),
        (
            " turn:u:p@turn.example:443?transport=tcp , stuns:[2001:db8::1]:5349,",
            (
                IceServer("turn:turn.example:443?transport=tcp", "u", "p"),
                IceServer("stuns:[2001:db8::1]:5349"),
            ),
        ),
        ("turns:u%40x:p%3A%2C@turn.example", (IceServer("turns:turn.example", "u@x", "p:,"),)),
    ],
)
def test_ice_servers(text: str, wanted: tuple[IceServer, ...]) -> None:
    assert ice_servers(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "stun.example",
        "http://stun.example",
        "stun:",
        "stun:u:p@stun.example",
        "stun:stun.example?transport=udp",
        "stun:stun.example:99999",
        "turn:u@turn.example",
        "turn:u:p@turn.example?transport=sctp",
        "turn:u:p%0A@turn.example",
        "turn:u:p%C3%A4@turn.example",
        'stun:a>; rel="x',
        ",".join(["stun:a"] * 9),
    ],
)
def test_ice_servers_that_cannot_be_read(text: str) -> None:
    with pytest.raises(InputError):
        ice_servers(text)


def test_turn_without_a_user_wants_a_secret() -> None:
    servers = ice_servers("stun:a,turn:b:3478?transport=tcp,turn:u:p@c")
    with pytest.raises(InputError, match=r"turn:b:3478.*SEGSTREAM_TURN_SECRET"):
        Network(servers)
    with pytest.raises(InputError, match="SEGSTREAM_TURN_SECRET"):
        _ = Settings(ice_servers=servers).network
    settings = Settings(ice_servers=servers, turn_secret="north-wind")
    assert "north-wind" not in repr(settings) + repr(settings.network)
    stun_, made, kept = settings.network.servers(1_000_000.5)
    assert (stun_, kept) == (servers[0], servers[2])
    assert made.url == "turn:b:3478?transport=tcp"
    assert made.username == f"{1_000_000 + TURN_LIFETIME}:segstream"
    assert (
        made.credential == turn_credentials("north-wind", "segstream", 1_000_000 + TURN_LIFETIME)[1]
    )
    assert Settings.from_environment({"SEGSTREAM_TURN_SECRET": "a b!c$d%e"}).turn_secret
    with pytest.raises(InputError, match="8 to 512") as caught:
        Settings.from_environment({"SEGSTREAM_TURN_SECRET": "short"})
    assert "short" not in str(caught.value)


def test_turn_credentials_are_those_of_the_draft() -> None:
    """Compared with: printf 1433895918:myuser | openssl dgst -sha1 -hmac north -binary | base64"""
    assert turn_credentials("north", "myuser", 1433895918) == (
        "1433895918:myuser",
        "zG96vR2o8BEUQfTsD000a/zZ5Nw=",
    )


def test_passwords_are_shown_to_nobody() -> None:
    for text in ("turn:u:hunter2@", "turn:u:hunter2@bad host", "turn:u:hunter2@h?transport=x"):
        with pytest.raises(InputError) as caught:
            ice_servers(text)
        assert "hunter2" not in str(caught.value)
    settings = Settings(token="hunter2", ice_servers=ice_servers("turn:u:hunter2@h"))
    assert "hunter2" not in repr(settings)


def test_ports() -> None:
    assert udp_ports("50000-50999") == range(50000, 51000)
    assert udp_ports(" 1024-1024 ") == range(1024, 1025)


@pytest.mark.parametrize(
    "text", ["50000", "50000-", "80-90", "2000-1999", "1-70000", "a-b", "\u0665-\u0666"]
)
def test_ports_that_cannot_be(text: str) -> None:
    with pytest.raises(InputError, match="FIRST-LAST"):
        udp_ports(text)


def test_addresses() -> None:
    assert public_address(" 203.0.113.7 ") == "203.0.113.7"
    assert public_address("2001:DB8:0::1") == "2001:db8::1"
    for text in ("example.org", "203.0.113", "0.0.0.0", "224.0.0.1", "::"):
        with pytest.raises(InputError, match="public address"):
            public_address(text)


def test_the_environment_names_what_is_wrong() -> None:
    given = {
        "SEGSTREAM_TOKEN": "correct-horse",
        "SEGSTREAM_ICE_SERVERS": "stun:stun.example",
        "SEGSTREAM_UDP_PORTS": "50000-50010",
        "SEGSTREAM_PUBLIC_ADDRESS": "203.0.113.7",
    }
    settings = Settings.from_environment(given)
    assert settings.token == "correct-horse"
    assert settings.network == Network(
        (IceServer("stun:stun.example"),), range(50000, 50011), "203.0.113.7"
    )
    for name in given:
        with pytest.raises(InputError, match=name):
            Settings.from_environment({**given, name: "?"})
        assert Settings.from_environment({name: ""}) == Settings()


def test_options_of_serve(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Settings] = []
    monkeypatch.setattr("stream.server.app.run", given.append)
    options = ["--udp-ports", "50000-50010", "--public-address", "203.0.113.7"]
    assert main(["serve", *options, "--ice-servers", "stun:a,turn:u:p@b"]) == 0
    assert given[0].udp_ports == range(50000, 50011)
    assert [server.url for server in given[0].ice_servers] == ["stun:a", "turn:b"]
    for option in ("--udp-ports", "--public-address", "--ice-servers"):
        assert main(["serve", option, "?"]) == 2
        assert "wanted" in capsys.readouterr().err


ANSWER = "\r\n".join(
    [
        "m=video 50001 UDP/TLS/RTP/SAVPF 96",
        "a=candidate:1 1 udp 2130706431 10.0.0.5 50001 typ host",
        "a=candidate:2 1 udp 2130706431 2001:db8::5 50002 typ host",
        "a=candidate:3 1 udp 2130706431 127.0.0.1 50003 typ host",
        "a=candidate:4 1 udp 1694498815 198.51.100.1 50001 typ srflx raddr 10.0.0.5 rport 50001",
        "a=end-of-candidates",
        "",
    ]
)


def addresses(sdp: str) -> list[str]:
    return [line.split()[4] for line in sdp.splitlines() if line.startswith("a=candidate")]


def test_the_public_address_stands_before_the_private_one() -> None:
    told = with_public_address(ANSWER, "203.0.113.7")
    first, *rest = [line for line in told.split("\r\n") if line.startswith("a=candidate")]
    assert first == "a=candidate:1 1 udp 2130706175 203.0.113.7 50001 typ host"
    assert len(rest) == 4
    told = with_public_address(ANSWER, "2001:db8:1::1")
    assert addresses(told)[0] == "2001:db8:1::1"
    assert told.split("a=candidate:")[1].split()[5] == "50002"
    # Nothing stands between a section's candidates and its end.
    assert told.endswith("a=end-of-candidates\r\n")


def test_the_address_that_was_reached_comes_first() -> None:
    assert addresses(with_first(ANSWER, "127.0.0.1"))[:2] == ["127.0.0.1", "10.0.0.5"]
    assert with_first(ANSWER, "192.0.2.1") == ANSWER
    assert sorted(with_first(ANSWER, "2001:db8::5").split()) == sorted(ANSWER.split())


async def test_aiortc_gets_the_servers_that_it_can_read() -> None:
    network = Network(ice_servers("stun:[2001:db8::1],stun:a:1,turn:u:p@b?transport=tcp"))
    servers = ice.configuration(network).iceServers
    assert servers is not None
    assert [server.urls for server in servers] == ["stun:a:1", "turn:b?transport=tcp"]
    assert (servers[1].username, servers[1].credential) == ("u", "p")
    connection = RTCPeerConnection(ice.configuration(network))
    gatherer = connection.addTransceiver("video").receiver.transport.transport.iceGatherer
    assert gatherer._connection.stun_server == ("a", 1)
    assert gatherer._connection.turn_server == ("b", 3478)
    await connection.close()


@pytest.fixture
def ports() -> range:
    """Ten that are free just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        first = min(probe.getsockname()[1], 65_000)
    return range(first + 1, first + 11)


def served(settings: Settings) -> TestClient[Any, Any]:
    return TestClient(TestServer(create_app(settings, bright_supervisor())))


def own_ports(answer: str) -> set[int]:
    lines = (line for line in answer.splitlines() if line.startswith("a=candidate"))
    return {int(line.split()[5]) for line in lines}


async def test_media_stays_within_the_ports(ports: range) -> None:
    async with served(Settings(udp_ports=ports, public_address="203.0.113.7")) as http:
        publisher, viewer = Party(Scene()), Party(watches=("video",))
        answer = await (await publisher.begin(http, "/whip?session=studio")).text()
        assert own_ports(answer) <= set(ports)
        assert "203.0.113.7" in answer or set(addresses(answer)) == {"127.0.0.1"}
        answer = await (await viewer.begin(http, "/whep/studio")).text()
        assert own_ports(answer) <= set(ports)
        await viewer.until(lambda: viewer.pictures)
        await viewer.close()
        await publisher.close()


async def test_media_flow_over_ipv6(ports: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each machine has ::1, which aioice leaves out as it does all of loopback."""
    app = create_app(Settings(udp_ports=ports), bright_supervisor())
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["::1"])
    async with TestClient(TestServer(app, host="::1")) as http:
        publisher, viewer = Party(Scene()), Party(watches=("video",))
        await publisher.begin(http, "/whip?session=studio")
        answer = await (await viewer.begin(http, "/whep/studio")).text()
        assert set(addresses(answer)) == {"::1"}
        assert own_ports(answer) <= set(ports)
        await viewer.until(lambda: len(viewer.pictures) > 5)
        [transceiver] = viewer.connection.getTransceivers()
        connection: Any = transceiver.receiver.transport.transport._connection
        pair = connection._nominated[1]
        assert {pair.local_candidate.host, pair.remote_candidate.host} == {"::1"}
        await viewer.close()
        await publisher.close()


class Reflector(asyncio.DatagramProtocol):
    """A STUN server (RFC 8489) behind which everybody seems to be 198.51.100.9."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        response = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = ("198.51.100.9", addr[1])
        self.transport.sendto(bytes(response), addr)


async def test_the_stun_server_is_asked_and_told() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Reflector, local_addr=("127.0.0.1", 0))
    url = f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    party = Party(Scene())
    async with served(Settings(ice_servers=ice_servers(url))) as http:
        response = await party.begin(http, "/whip")
        assert response.headers.getall("Link") == [f'<{url}>; rel="ice-server"']
        answer = await response.text()
        assert "198.51.100.9" in addresses(answer)
        assert "typ srflx" in answer
        await party.close()
    transport.close()


async def test_without_a_free_port_nobody_is_answered(ports: range) -> None:
    party = Party(Scene())
    sdp = (await party.offer())["sdp"]
    async with served(Settings(udp_ports=ports[:1])) as http:
        first = await http.post("/whip", data=sdp, headers=SDP)
        assert first.status == 201
        full = await http.post("/whip", data=sdp, headers=SDP)
        assert full.status == 503
        assert "UDP port" in (await full.json())["error"]["message"]
        await http.delete(first.headers["Location"])
        assert (await http.post("/whip", data=sdp, headers=SDP)).status == 201
    await party.close()


async def test_ports_are_tried_until_one_is_free(ports: range) -> None:
    patches.apply()
    loop = aioice.ice.asyncio.get_running_loop()  # type: ignore[attr-defined]
    assert loop is asyncio.get_running_loop(), "without a range nothing is changed"
    transports = []
    with ice.ports_within(ports):
        loop = aioice.ice.asyncio.get_running_loop()  # type: ignore[attr-defined]
        for _ in ports:
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            transports.append(transport)
        with pytest.raises(OSError, match="no UDP port") as caught:
            await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
    assert caught.value.errno == errno.EADDRINUSE
    used = {transport.get_extra_info("sockname")[1] for transport in transports}
    assert used == set(ports)
    for transport in transports:
        transport.close()


def test_what_is_changed_in_aioice_is_still_there() -> None:
    patches.apply()
    names = aioice.ice.Connection.query_consent.__code__.co_names
    assert "CONSENT_FAILURES" in names
    assert aioice.ice.CONSENT_FAILURES > 10**6
    gather = aioice.ice.Connection.get_component_candidates.__code__.co_names
    assert "create_datagram_endpoint" in gather


def test_aioice_has_no_settings_for_what_is_changed_in_it() -> None:
    known = "ice_controlling components stun_server turn_server turn_username turn_password"
    known += " turn_ssl turn_transport use_ipv4 use_ipv6 transport_policy"
    known += " local_username local_password"
    found = set(inspect.signature(aioice.ice.Connection).parameters)
    assert found == set(known.split()), "a new one: if it is for ports or consent, the patch can go"

"""A relay by a real TURN server, coturn, with credentials that were made from a shared secret."""

import asyncio
import gc
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from fake_tracker import bright_supervisor
from rtc_client import Scene
from rtsp_camera import free_port
from whip_client import SDP, Party

from stream.network import ice_servers
from stream.server.app import create_app
from stream.settings import Settings

SECRET = "north-wind-and-sun"
COTURN = shutil.which("turnserver") or "/usr/bin/turnserver"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[int]:
    """The port of a TURN server that takes who knows the secret."""
    assert Path(COTURN).exists(), "no TURN server: apt-get install coturn"
    port = free_port()
    command = [
        *(COTURN, "-n", "--no-cli", "--no-tls", "--no-dtls", "--listening-ip=127.0.0.1"),
        *("--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers"),
        *("--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=test"),
        *("--log-file=stdout", f"--pidfile={tmp_path}/pid", f"--userdb={tmp_path}/db"),
    ]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    yield port
    process.kill()
    process.wait(10)
    log.close()


def only_relayed(sdp: str) -> str:
    lines = [line for line in sdp.split("\r\n") if "a=candidate" not in line or "relay" in line]
    return "\r\n".join(lines)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_pictures_flow_through_a_relay(relay: int, transport: str) -> None:
    settings = Settings(
        ice_servers=ice_servers(f"turn:127.0.0.1:{relay}?transport={transport}"),
        turn_secret=SECRET,
    )
    async with TestClient(TestServer(create_app(settings, bright_supervisor()))) as http:
        await asyncio.sleep(0.5)  # coturn has no way to tell that it listens
        async with http.get("/ice-servers") as response:
            [server] = (await response.json())["iceServers"]
        assert re.fullmatch(r"\d{10}:segstream", server["username"])
        assert SECRET not in str(server)
        publisher = Party(Scene())
        await publisher.begin(http, "/whip?session=studio")
        viewer = Party(watches=("video",))
        mine = RTCIceServer(server["urls"], server["username"], server["credential"])
        viewer._prepare(RTCPeerConnection(RTCConfiguration([mine])))
        viewer.connection.addTransceiver("video", "recvonly")
        # Of the viewer's and the server's addresses, only those at the TURN server are told.
        offer = only_relayed((await viewer.offer())["sdp"])
        assert "typ relay" in offer
        async with http.post("/whep/studio", data=offer, headers=SDP) as response:
            answer = only_relayed(await response.text())
        assert answer.count("typ relay") == 1
        await viewer.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await viewer.until(lambda: len(viewer.pictures) > 5)
        [transceiver] = viewer.connection.getTransceivers()
        ice: Any = transceiver.receiver.transport.transport._connection
        pair = ice._nominated[1]
        # Checks may have shown one side the other's own address, behind its own relay.
        assert "relay" in (pair.local_candidate.type, pair.remote_candidate.type)
        await viewer.close()
        await publisher.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_server_refuses_who_does_not_know_the_secret(relay: int) -> None:
    await asyncio.sleep(0.5)
    mine = RTCIceServer(f"turn:127.0.0.1:{relay}", "9999999999:segstream", "wrong")
    connection = RTCPeerConnection(RTCConfiguration([mine]))
    connection.addTransceiver("video", "recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    assert "typ host" in sdp
    assert "typ relay" not in sdp
    await connection.close()
    del connection
    gc.collect()  # aioice 0.13 leaves the socket to a server that refused it to the collector

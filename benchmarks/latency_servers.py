"""The two servers whose delay is measured, each in a process of its own.

    python -m benchmarks.latency_servers ours|echo PORT

Every line on standard input is answered by one line of JSON: the seconds of CPU that each stage of
this process, and its worker, has used so far.
"""

import asyncio
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from stream.server.patches import addresses

STAGES = {
    "MainThread": "network",
    "video-decoder": "decode",
    "compose": "compose",
    "asyncio": "encode",
}
"""By the beginning of a thread's name."""

TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    which, port = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_answer, daemon=True).start()
    if which == "ours":
        from stream.server.app import run
        from stream.settings import Settings

        run(Settings(port=port, threads=int(os.environ.get("THREADS", "2"))))
    else:
        addresses.apply()  # else nothing connects on a machine without a network
        web.run_app(_echo(), host="127.0.0.1", port=port, print=None)


def _answer() -> None:
    for _ in sys.stdin:
        print(json.dumps(_cpu()), flush=True)


def _cpu() -> dict[str, float]:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    used: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name = names.get(int(task.name), "other")
        stage = next(
            (stage for prefix, stage in STAGES.items() if name.startswith(prefix)), "other"
        )
        used[stage] = used.get(stage, 0) + _seconds(task / "stat")
    # Threads that have ended, as an encoder's own do, still count.
    used["other"] = _seconds(Path("/proc/self/stat")) - sum(
        seconds for stage, seconds in used.items() if stage != "other"
    )
    children = {
        child
        for task in Path("/proc/self/task").iterdir()
        for child in re.findall(r"\d+", _read(task / "children"))
    }
    used["tracker"] = sum(_seconds(Path(f"/proc/{child}/stat")) for child in children)
    return used


def _seconds(stat: Path) -> float:
    fields = _read(stat).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def _read(path: Path) -> str:
    """Nothing of a thread or process that has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _echo() -> web.Application:
    """aiortc as it comes: what is received is sent back."""
    peers: set[RTCPeerConnection] = set()

    async def answer(request: web.Request) -> web.Response:
        offer = await request.json()
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.add(peer)
        peer.on("track", lambda track: peer.addTrack(track) and None)
        await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        await peer.setLocalDescription(await peer.createAnswer())

        def check() -> None:
            if peer.connectionState in ("failed", "closed") and peer in peers:
                peers.discard(peer)
                ends.append(asyncio.ensure_future(peer.close()))

        peer.on("connectionstatechange", check)
        return web.json_response({"type": "answer", "sdp": peer.localDescription.sdp})

    ends: list[Any] = []
    app = web.Application()
    app.router.add_post("/rtc", answer)
    return app


if __name__ == "__main__":
    main()

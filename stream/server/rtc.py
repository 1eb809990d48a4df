"""POST /rtc and DELETE /rtc/{session}: peers come and go."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path

from aiohttp import web

from stream import logs
from stream.errors import Busy, OfferError
from stream.limits import MAX_CAMERA_VIEWERS, MAX_SDP, MAX_SESSIONS
from stream.metrics import SESSIONS_STARTED
from stream.network import Network
from stream.server import offer, recorder
from stream.server.camera_viewer import CameraViewer
from stream.server.cameras import CAMERAS, Camera
from stream.server.drain import Drain
from stream.server.gate import GATE, caller
from stream.server.http import read_body
from stream.server.lease import Lease
from stream.server.offer import Offer
from stream.server.outlets import Outlets
from stream.server.peer import Peer
from stream.server.publications import Publications
from stream.server.viewer import Viewer
from stream.session import Session
from stream.settings import MAX_BITRATE
from stream.worker.supervisor import Supervisor


class Peers:
    """All peers of one server, and who watches them. tracker, pool: shared by their sessions.

    max_bitrate: bits per second of each returned picture. drain: once it has begun, nobody more is
    let in. records: the folder for recordings; None: there are none.
    """

    def __init__(
        self,
        tracker: Supervisor,
        pool: Executor,
        model: str,
        network: Network | None = None,
        max_bitrate: int = MAX_BITRATE,
        drain: Drain | None = None,
        records: Path | None = None,
    ) -> None:
        self.model = model
        self.network = network or Network()
        self._tracker = tracker
        self._pool = pool
        self._max_bitrate = max_bitrate
        self._peers: dict[str, Peer] = {}
        self._owners: dict[str, str] = {}
        self._viewers: dict[str, dict[str, Viewer]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._records = records
        self._outlets: dict[str, Outlets] = {}
        self._answering: set[str] = set()
        self._drain = drain or Drain(0)

    def __len__(self) -> int:
        """Sessions; those who only watch are in `watching`."""
        return len(self._peers) - self.watching["camera"]

    def session(self, id: str) -> Session:
        """Raises aiohttp's HTTPNotFound."""
        return self.peer(id).session

    @property
    def watching(self) -> dict[str, int]:
        """Those that only watch: cameras, or sessions (by WHEP)."""
        return {
            "camera": sum(isinstance(peer, CameraViewer) for peer in self._peers.values()),
            "whep": sum(map(len, self._viewers.values())),
        }

    def queue_ages(self) -> list[dict[str, float]]:
        """Of each session: see Session.queue_ages. Those of cameras are not among them."""
        return [
            peer.session.queue_ages()
            for peer in self._peers.values()
            if not isinstance(peer, CameraViewer)
        ]

    def peer(self, id: str, source: str | None = None) -> Peer:
        """source: where it must have come from. Raises aiohttp's HTTPNotFound."""
        if id not in self._peers or source not in (None, self._peers[id].source):
            raise web.HTTPNotFound(text=f"no session {id[:40]}; it has ended or never was")
        return self._peers[id]

    def outlets(self, id: str) -> Outlets:
        """Of a session; a camera has its own. Raises aiohttp's HTTPNotFound."""
        session = self._own_session(id)
        if id not in self._outlets:
            self._outlets[id] = Outlets(
                recorder.of_session(session, self._records),
                Publications(f"session {id}", session, self.network),
            )
        return self._outlets[id]

    def _own_session(self, id: str) -> Session:
        """Raises aiohttp's HTTPNotFound."""
        peer = self.peer(id)
        if isinstance(peer, CameraViewer):
            raise web.HTTPNotFound(
                text=f"{id[:40]} watches a camera; publish or record the camera itself"
            )
        return peer.session

    @property
    def all_publications(self) -> list[Publications]:
        """Of each session that has some, those of cameras not included."""
        return [outlets.publications for outlets in self._outlets.values()]

    def viewer(self, watched: str, id: str) -> Viewer:
        """watched: a session's id, or what `camera_key` gives. Raises aiohttp's HTTPNotFound."""
        viewers = self._viewers.get(watched, {})
        if id not in viewers:
            raise web.HTTPNotFound(text=f"no viewer {id[:40]}; it has ended or never was")
        return viewers[id]

    def owner_of(self, id: str) -> str | None:
        """The key that began it; None: it was begun without one, or there is no such session."""
        return self._owners.get(id)

    async def accept(
        self,
        offer: Offer,
        reached_at: str | None = None,
        name: str | None = None,
        prepare: Callable[[Session], Awaitable[None]] | None = None,
        source: str = "rtc",
        lease: Lease | None = None,
    ) -> tuple[str, str]:
        """Begin a session; returns its id and the answer's SDP.

        name: to be the id. reached_at, prepare: see Peer.answer. lease: of the key that begins
        it, if any; released by the session's end. source: "rtc" or "whip", by
        which alone it can be ended. Raises OfferError, Busy,
        aiohttp's HTTPConflict, and what `prepare` raises.
        """
        self._drain.check()
        id = name or secrets.token_urlsafe(12)
        if id in self._watches or id in self._answering:
            raise web.HTTPConflict(text=f"there is a session {id} already; end it first")
        if len(self) + len(self._answering) >= MAX_SESSIONS:
            raise Busy(f"all {MAX_SESSIONS} sessions are taken; try again later")
        self._tracker.admit()
        peer = Peer(
            lambda tell: Session(id, self._tracker, self._pool, tell, self._max_bitrate),
            self.model,
            self.network,
            source,
        )
        answer = await self._answer(id, peer, offer, reached_at, prepare, lease)
        SESSIONS_STARTED.inc()
        return id, answer

    async def accept_viewer(
        self, offer: Offer, camera: Camera, owner: str | None = None
    ) -> tuple[str, str]:
        """Let a peer watch a camera; returns as `accept` does. Raises OfferError, Busy."""
        self._drain.check()
        if self.watching["camera"] + len(self._answering) >= MAX_CAMERA_VIEWERS:
            raise Busy(f"all {MAX_CAMERA_VIEWERS} viewers are taken; try again later")
        viewer = CameraViewer(camera.session, self.model, self.network, camera.state)
        id = secrets.token_urlsafe(12)
        return id, await self._answer(id, viewer, offer, owner=owner)

    async def _answer(
        self,
        id: str,
        peer: Peer,
        offer: Offer,
        reached_at: str | None = None,
        prepare: Callable[[Session], Awaitable[None]] | None = None,
        lease: Lease | None = None,
        owner: str | None = None,
    ) -> str:
        self._answering.add(id)
        try:
            with logs.about(session=peer.session.id):  # and all that is begun for it
                answer = await peer.answer(offer, reached_at, prepare)
        except BaseException:
            peer.end("its offer was not answered")
            await peer.close()
            raise
        finally:
            self._answering.remove(id)
        self._peers[id] = peer
        if lease is not None:
            owner, lease.end = lease.owner, peer.end
        if owner is not None:
            self._owners[id] = owner
        self._watches[id] = asyncio.create_task(self._watch(id, peer, lease))
        return answer

    async def admit(
        self, watched: str, session: Session, offer: Offer, reached_at: str | None = None
    ) -> tuple[str, str]:
        """Let somebody watch a session; returns the viewer's id and the answer's SDP.

        watched: as in `viewer`. Raises OfferError, Busy.
        """
        self._drain.check()
        id = secrets.token_urlsafe(12)
        viewer = Viewer(id, session, self.network)
        # From now on, for the session may end while its offer is answered.
        self._viewers.setdefault(watched, {})[id] = viewer
        with logs.about(session=session.id):  # and all that is begun for it
            self._watches[id] = asyncio.create_task(self._watch_viewer(watched, id, viewer))
            try:
                answer = await viewer.answer(offer, reached_at)
            except BaseException:
                viewer.end("its offer was not answered")
                raise
        return id, answer

    async def end(self, id: str, source: str) -> None:
        """End a session and wait until all is free. Raises aiohttp's HTTPNotFound."""
        self.peer(id, source).end("asked to")
        await asyncio.wait([self._watches[id]])

    async def end_viewer(self, watched: str, id: str) -> None:
        """The same for a viewer."""
        self.viewer(watched, id).end("asked to")
        await asyncio.wait([self._watches[id]])

    async def end_all(self) -> None:
        for peer in self._peers.values():
            peer.end("server stops")
        for viewers in self._viewers.values():
            for viewer in viewers.values():
                viewer.end("server stops")
        if self._watches:
            await asyncio.wait(list(self._watches.values()))

    async def _watch(self, id: str, peer: Peer, lease: Lease | None) -> None:
        try:
            with logs.about(session=peer.session.id):
                await peer.watch()
        finally:
            del self._peers[id]
            if id in self._outlets:
                await self._outlets.pop(id).close()
            for viewer in self._viewers.get(id, {}).values():
                viewer.end("its session ended")
            self._owners.pop(id, None)
            try:
                if lease is not None:
                    await lease.release()
            finally:
                del self._watches[id]

    async def _watch_viewer(self, watched: str, id: str, viewer: Viewer) -> None:
        try:
            await viewer.watch()
        finally:
            del self._viewers[watched][id], self._watches[id]
            if not self._viewers[watched]:
                del self._viewers[watched]


def camera_key(name: str) -> str:
    """What the viewers of a camera are kept under: no session's id has a slash."""
    return f"camera/{name}"


PEERS = web.AppKey("peers", Peers)


async def post_rtc(request: web.Request) -> web.Response:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type}; wanted application/json"
        )
    try:
        body = json.loads(await read_body(request, MAX_SDP))
    except (ValueError, RecursionError) as error:
        raise OfferError(f"body is no JSON: {str(error)[:100]}") from error
    if not isinstance(body, dict) or body.get("type") != "offer":
        raise OfferError('body is no offer; wanted {"type": "offer", "sdp": "v=0…"}')
    if not isinstance(body.get("sdp"), str):
        raise OfferError('the offer has no text "sdp"')
    peers, camera = request.app[PEERS], body.get("camera")
    if camera is None:
        checked = offer.read(body["sdp"])
        async with request.app[GATE].lease(request) as lease:
            id, sdp = await peers.accept(checked, lease=lease)
    else:
        watched = request.app[CAMERAS].get(str(camera))
        checked = offer.read_viewer(body["sdp"])
        id, sdp = await peers.accept_viewer(checked, watched, caller(request).key)
    return web.json_response({"type": "answer", "sdp": sdp, "session": id})


async def delete_rtc(request: web.Request) -> web.Response:
    await request.app[PEERS].end(request.match_info["session"], source="rtc")
    return web.Response(status=204)

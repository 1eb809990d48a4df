"""POST /rtc and DELETE /rtc/{session}: peers come and go."""

import asyncio
import json
import secrets
from concurrent.futures import Executor

from aiohttp import web

from stream import logs
from stream.errors import Busy, OfferError
from stream.limits import MAX_SDP, MAX_SESSIONS
from stream.metrics import SESSIONS_STARTED
from stream.server import offer
from stream.server.drain import Drain
from stream.server.http import read_body
from stream.server.peer import Peer
from stream.session import Session
from stream.worker.supervisor import Supervisor


class Peers:
    """All peers of one server. tracker, pool: shared by their sessions. drain: once it has begun,
    no more are let in."""

    def __init__(
        self, tracker: Supervisor, pool: Executor, model: str, drain: Drain | None = None
    ) -> None:
        self.model = model
        self._tracker = tracker
        self._pool = pool
        self._peers: dict[str, Peer] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._answering = 0
        self._drain = drain or Drain(0)

    def __len__(self) -> int:
        return len(self._peers)

    def session(self, id: str) -> Session:
        """Raises aiohttp's HTTPNotFound."""
        return self._peer(id).session

    def queue_ages(self) -> dict[str, float]:
        """Seconds that what waits longest has waited, by queue, of all sessions."""
        ages = {"compose": 0.0, "egress": 0.0}
        for peer in self._peers.values():
            for queue, age in peer.session.queue_ages().items():
                ages[queue] = max(ages[queue], age)
        return ages

    async def accept(self, sdp: str) -> tuple[str, str]:
        """Begin a session; returns its id and the answer's SDP. Raises OfferError, Busy."""
        self._drain.check()
        checked = offer.read(sdp)
        if len(self) + self._answering >= MAX_SESSIONS:
            raise Busy(f"all {MAX_SESSIONS} sessions are taken; try again later")
        self._tracker.admit()
        id = secrets.token_urlsafe(12)
        peer = Peer(lambda tell: Session(id, self._tracker, self._pool, tell), self.model)
        self._answering += 1
        try:
            with logs.about(session=id):  # and all that is begun for it
                answer = await peer.answer(checked)
        except BaseException:
            peer.end("its offer was not answered")
            await peer.close()
            raise
        finally:
            self._answering -= 1
        self._peers[id] = peer
        self._watches[id] = asyncio.create_task(self._watch(id, peer))
        SESSIONS_STARTED.inc()
        return id, answer

    async def end(self, id: str) -> None:
        """End a session and wait until all is free. Raises aiohttp's HTTPNotFound."""
        self._peer(id).end("asked to")
        await asyncio.wait([self._watches[id]])

    async def end_all(self) -> None:
        for peer in self._peers.values():
            peer.end("server stops")
        if self._watches:
            await asyncio.wait(list(self._watches.values()))

    async def _watch(self, id: str, peer: Peer) -> None:
        try:
            with logs.about(session=id):
                await peer.watch()
        finally:
            del self._peers[id], self._watches[id]

    def _peer(self, id: str) -> Peer:
        if id not in self._peers:
            raise web.HTTPNotFound(text=f"no session {id[:40]}; it has ended or never was")
        return self._peers[id]


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
    id, sdp = await request.app[PEERS].accept(body["sdp"])
    return web.json_response({"type": "answer", "sdp": sdp, "session": id})


async def delete_rtc(request: web.Request) -> web.Response:
    await request.app[PEERS].end(request.match_info["session"])
    return web.Response(status=204)

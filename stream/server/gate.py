"""Who may begin and watch live sessions: one gate for the page, WHIP, WHEP, cameras and pictures.

What opens it is the operator's token, a key, or a session token that was made from a key. It comes
as `Authorization: Bearer`, in `x-api-key`, or, for what a browser opens by itself, as `?token=`.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from stream.errors import KeyRefused
from stream.limits import LIVE_COUNT_INTERVAL
from stream.server.access import KEY, host_name, is_guarded, was_passed_on
from stream.server.http import is_loopback, request_key
from stream.server.keys import Keys
from stream.server.lease import Lease
from stream.server.live_keys import LiveKeys
from stream.settings import Settings

log = logging.getLogger(__name__)

QUERY = "token"

OPEN = frozenset(
    {
        "jobs",
        "v1",
        "healthz",
        "readyz",
        "metrics",
        "openapi.json",
        "backgrounds",
        "session-tokens",
        "recordings",
    }
)
"""First parts of the paths that have no live picture, or ask for a key or a secret themselves. All
others are behind the gate, those to come too; files of the page, the last route of all, are not."""

PAGE = "/{path}"

_CALLER = request_key("live_caller")


@dataclass(frozen=True, slots=True)
class Caller:
    """key: the id of the key that let him in; None: nothing had to, or the operator's token."""

    key: str | None


class Gate:
    """For one event loop; what touches the database runs in threads.

    owner_of: the key of a live session's beginner; None: it was begun without, or there is none.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        live: LiveKeys,
        owner_of: Callable[[str], str | None],
    ) -> None:
        self.keys = keys
        self._settings = settings
        self._live = live
        self._owner_of = owner_of
        self._leases: set[Lease] = set()

    async def identify(self, request: web.Request) -> Caller:
        """Raises KeyRefused. What is not asked for is not looked at."""
        if self._lets_in_without(request):
            return Caller(None)
        given = _given(request)
        if given is None:
            raise KeyRefused(
                "wanted a header Authorization: Bearer …, with the operator's token, a key, or a "
                "token of POST /session-tokens"
            )
        token = self._settings.token
        if token is not None and hmac.compare_digest(_bytes(given), token.encode()):
            return Caller(None)
        return Caller(await asyncio.to_thread(self.keys.identify, given))

    def may_touch(self, caller: Caller, session: str) -> bool:
        """Keys are strangers to each other: none reaches another's session by its name."""
        return caller.key is None or self._owner_of(session) == caller.key

    async def lets_in(self, request: web.Request) -> bool:
        try:
            await self.identify(request)
        except KeyRefused:
            return False
        return True

    @asynccontextmanager
    async def lease(self, request: web.Request) -> AsyncIterator[Lease | None]:
        """A place for a session to be begun within; given back if that fails. None: it counts for
        no key. Raises TooMany, KeyRefused."""
        key = caller(request).key
        if key is None:
            yield None
            return
        opening = asyncio.create_task(asyncio.to_thread(self._live.open, key))
        try:
            id = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(Exception):  # the thread goes on, and its row would stay
                await asyncio.to_thread(self._live.close, await opening)
            raise

        async def release() -> None:
            self._leases.discard(lease)
            await asyncio.to_thread(self._live.close, id)

        lease = Lease(id, key, release)
        self._leases.add(lease)
        try:
            yield lease
        except BaseException:
            await release()
            raise

    async def count(self) -> None:
        """Count the time of all sessions, and end those whose key has none left; runs on."""
        while True:
            await asyncio.sleep(LIVE_COUNT_INTERVAL)
            for lease in tuple(self._leases):
                try:
                    reason = await asyncio.to_thread(self._live.count, lease.id)
                except Exception:
                    log.exception("the time of a session could not be counted")
                    continue
                if reason is not None and lease in self._leases:
                    lease.end(reason)

    def _lets_in_without(self, request: web.Request) -> bool:
        if self._settings.token is not None and is_guarded(request):
            return False
        mode = self._settings.session_keys
        return mode == "off" or (mode == "remote" and _is_local(request))


GATE = web.AppKey("gate", Gate)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse who may not; preflights carry nothing (Fetch standard, CORS-preflight)."""
    if request.method == hdrs.METH_OPTIONS or not _is_behind(request):
        return await handler(request)
    gate = request.app[GATE]
    try:
        request[_CALLER] = found = await gate.identify(request)
    except KeyRefused as error:
        # The code of RFC 6750 section 3.1, only where something was given.
        wrong = ', error="invalid_token"' if _given(request) is not None else ""
        raise web.HTTPUnauthorized(
            text=str(error), headers={hdrs.WWW_AUTHENTICATE: f'Bearer realm="segstream"{wrong}'}
        ) from error
    session = request.match_info.get("session")
    if session is not None and not gate.may_touch(found, session):
        raise web.HTTPNotFound(text=f"no session {session[:40]}; it has ended or never was")
    is_read = request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
    if not is_read and not may_change(request):
        raise web.HTTPForbidden(
            text="cameras and recordings are the operator's: a key only watches them; change them "
            "with the operator's token, or with 'segstream camera' on the server"
        )
    return await handler(request)


def caller(request: web.Request) -> Caller:
    """Who was let in."""
    found: Caller = request[_CALLER]
    return found


def may_change(request: web.Request) -> bool:
    """Whether who was let in to read this may also change it."""
    return caller(request).key is None or not _is_the_operators(request)


def _given(request: web.Request) -> str | None:
    """Raises nothing; None: nothing that could open the gate."""
    scheme, _, bearer = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if bearer.strip() and scheme.lower() == "bearer":
        return bearer.strip()
    return request.headers.get(KEY) or request.query.get(QUERY) or None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_behind(request: web.Request) -> bool:
    resource = request.match_info.route.resource
    if resource is None or resource.canonical == PAGE:  # 404, or a file of the page
        return False
    return request.path.split("/")[1] not in OPEN


def _is_the_operators(request: web.Request) -> bool:
    """Whoever changes it adds or removes a camera or sends it somewhere, or writes to the disk,
    where old recordings make room for new ones, whoever's they are."""
    parts = request.path.split("/")
    return parts[1] == "cameras" or parts[-1] == "recording"


def _is_local(request: web.Request) -> bool:
    """A program on this machine, not one that passes on what others ask."""
    if was_passed_on(request):
        return False
    if not is_loopback(host_name(request.host)):
        return False  # the public name, which a proxy passes on
    return request.remote is not None and is_loopback(request.remote)

"""Pages of other sites, and what they may call (CORS). Who may at all: stream.server.gate."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from stream.settings import Settings

GUARDED = frozenset({"whip", "whep"})
"""First parts of the paths that programs call; so are those of a session in OF_SESSION. All others
are for the page."""

OF_SESSION = frozenset({"", "publications", "recording", "mjpeg", "snapshot.jpg"})
"""What follows /sessions/ID/: its effects, what it is published to and recorded, and ways to watch
it, as WHEP is one."""

PASSED_ON = frozenset({"Forwarded", "X-Forwarded-For", "Via"})
"""Headers that proxies add."""

KEY, REMAINING = "x-api-key", "x-remaining-credits"
"""Headers of what keys pay for."""

METHODS = "POST, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = f"Authorization, Content-Type, If-Match, Range, {KEY}"
RESPONSE_HEADERS = f"Accept-Patch, ETag, Link, Location, Retry-After, WWW-Authenticate, {REMAINING}"
PREFLIGHT_LASTS = 3600


def is_guarded(request: web.Request) -> bool:
    first, what = (request.path.split("/") + [""] * 3)[1:4:2]
    return first in GUARDED or (first == "sessions" and what in OF_SESSION)


def is_paid(request: web.Request) -> bool:
    """It is for whole videos, and costs credits."""
    return request.path.startswith(("/v1/", "/jobs"))


def _bears_key(request: web.Request) -> bool:
    """Or, before it is sent, says that it will (Fetch standard, CORS-preflight)."""
    if request.method == hdrs.METH_OPTIONS:
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        return KEY in (name.strip().lower() for name in wanted.split(","))
    return KEY in request.headers


def may_cross(request: web.Request, settings: Settings) -> bool:
    """Whether a page of another site may make this request.

    Where a token is needed, a browser does not add it by itself, so whoever sends it was given it,
    as it is with keys; without a token only the operator's own names may.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or not is_guarded(request):
        return origin is not None and is_paid(request) and _bears_key(request)
    is_asked = settings.token is not None or settings.session_keys == "all"
    own = {name.lower() for name in settings.hosts}
    return is_asked or host_name(place_of(origin)) in own


def was_passed_on(request: web.Request) -> bool:
    """By a reverse proxy, which may be on this machine while who asks is not."""
    return bool(request.headers.keys() & PASSED_ON)


def place_of(origin: str) -> str:
    """HOST[:PORT] of what stands in `Origin`, in lower case; empty when it names none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def host_name(place: str) -> str:
    """HOST of HOST[:PORT], in lower case; empty when it is neither, for clients write anything."""
    try:
        return urlsplit(f"//{place}").hostname or ""
    except ValueError:
        return ""


def cross_origin(settings: Settings) -> Middleware:
    """Tell browsers which other sites' pages may read the answer, errors too."""

    @web.middleware
    async def add(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if may_cross(request, settings):
            headers = response.headers
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            headers[hdrs.VARY] = hdrs.ORIGIN
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = RESPONSE_HEADERS
            if request.method == hdrs.METH_OPTIONS:
                headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
                headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = REQUEST_HEADERS
                headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_LASTS)
        return response

    return add

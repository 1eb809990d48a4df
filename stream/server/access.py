"""Pages of other sites, and what they may call (CORS). Who may at all: stream.server.gate."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from stream.settings import Settings

GUARDED = frozenset({"whip", "whep"})
"""First parts of the paths that programs call; so are a session, and what it is published to. All
others are for the page."""

METHODS = "POST, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, If-Match"
RESPONSE_HEADERS = "Accept-Patch, ETag, Link, Location, Retry-After, WWW-Authenticate"
PREFLIGHT_LASTS = 3600


def is_guarded(request: web.Request) -> bool:
    parts = request.path.split("/")
    is_session = parts[1] == "sessions" and parts[3:4] in ([], ["publications"])
    return parts[1] in GUARDED or is_session


def may_cross(request: web.Request, settings: Settings) -> bool:
    """Whether a page of another site may make this request.

    Where a token is needed, a browser does not add it by itself, so whoever sends it was given it;
    without a token only the operator's own names may.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or not is_guarded(request):
        return False
    is_asked = settings.token is not None or settings.session_keys == "all"
    return is_asked or urlsplit(origin).hostname in settings.hosts


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

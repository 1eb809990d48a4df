"""Who may publish and watch: the bearer token, and pages of other sites (CORS)."""

import hmac
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from stream.settings import Settings

GUARDED = frozenset({"whip", "whep"})
"""First parts of the paths that programs call; all others are for the page."""

METHODS = "POST, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, If-Match"
RESPONSE_HEADERS = "Accept-Patch, ETag, Link, Location, Retry-After, WWW-Authenticate"
PREFLIGHT_LASTS = 3600


def is_guarded(request: web.Request) -> bool:
    return request.path.split("/")[1] in GUARDED


def is_authorized(request: web.Request, token: str | None) -> bool:
    """Whether the request bears the token (RFC 6750 section 2.1), or none is needed."""
    if token is None:
        return True
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    # Compared in constant time: how long it takes must not tell how much was right.
    given_bytes = given.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given_bytes, token.encode()) and scheme.lower() == "bearer"


def check_authorized(request: web.Request, token: str | None) -> None:
    """Raises aiohttp's HTTPUnauthorized."""
    if is_authorized(request, token):
        return
    wrong = hdrs.AUTHORIZATION in request.headers
    raise web.HTTPUnauthorized(
        text="the token is wrong" if wrong else "wanted a header Authorization: Bearer …",
        headers={
            hdrs.WWW_AUTHENTICATE: 'Bearer realm="segstream"'
            + (', error="invalid_token"' if wrong else "")
        },
    )


def may_cross(request: web.Request, settings: Settings) -> bool:
    """Whether a page of another site may make this request.

    Where a token is needed, a browser does not add it by itself, so whoever sends it was given it;
    without a token only the operator's own names may.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or not is_guarded(request):
        return False
    return settings.token is not None or urlsplit(origin).hostname in settings.hosts


def bearer(settings: Settings) -> Middleware:
    """Refuse who lacks the token; preflights carry none (Fetch standard, CORS-preflight)."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_open = not is_guarded(request) or request.method == hdrs.METH_OPTIONS
        if not is_open:
            check_authorized(request, settings.token)
        return await handler(request)

    return check


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

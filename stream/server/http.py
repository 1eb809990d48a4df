"""What every handler needs: errors as JSON, bodies with a limit, and who may call."""

import asyncio
import ipaddress
import json
import logging
import secrets
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stream.errors import (
    Busy,
    InputError,
    KeyRefused,
    LimitError,
    MediaError,
    NoCredits,
    NoVideo,
    SegstreamError,
    TooMany,
)
from stream.jobs.process import JobError
from stream.limits import BODY_TIMEOUT
from stream.metrics import RESPONSES
from stream.server.access import host_name, may_cross, place_of
from stream.settings import Settings

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[SegstreamError], int], ...] = (
    (KeyRefused, 401),
    (NoCredits, 406),
    (TooMany, 429),
    (NoVideo, 422),
    (MediaError, 422),
    (InputError, 400),
    (Busy, 503),
    (LimitError, 413),
    (SegstreamError, 500),
)
"""The first that fits an error is its answer's status."""

CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "bad_method",
    408: "timeout",
    409: "taken",
    412: "outdated",
    415: "bad_type",
    422: "unsupported",
}

KEPT_HEADERS = ("Accept-Patch", "Accept-Post", "Allow", "WWW-Authenticate")
"""Of an error's answer: they tell what would be right."""

MAX_ERROR = 2000
"""Characters of an error's text: it repeats what was wrong, and what was sent may be long."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def request_key(name: str) -> Any:
    """What a request keeps something of ours under: a RequestKey where aiohttp has it (3.14), which
    warns of plain names."""
    made = getattr(web, "RequestKey", None)
    return f"segstream.{name}" if made is None else made(name, object)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """For every answer, whoever made it."""
    response.headers.update(HEADERS)
    RESPONSES[f"{response.status // 100}xx"].inc()


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place that maps errors to HTTP (docs/protocol.md)."""
    try:
        return await handler(request)
    except SegstreamError as error:
        status = status_of(error)
        if status == 500:
            return _our_fault(request, error.code, str(error))
        answer = _error(status, error.code, str(error))
        if isinstance(error, Busy):
            answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = _error(error.status, CODES.get(error.status, "bad_request"), error.text or "")
        for name in KEPT_HEADERS:
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer
    except Exception:
        return _our_fault(request, "error", "the server failed")


def status_of(error: SegstreamError) -> int:
    """The HTTP status that says it."""
    if isinstance(error, JobError):
        return error.status
    return next(status for kind, status in STATUS if isinstance(error, kind))


def only_same_site(settings: Settings) -> Middleware:
    """Refuse what another web page makes a browser send: it could switch the camera's stream.

    A page of another site shows in `Origin`. One whose name was pointed at this machine afterwards
    (DNS rebinding) shows in `Host`, which a server on loopback knows beforehand.
    """
    own = {name.lower() for name in (settings.host, "localhost", *settings.hosts)}
    names = own if is_loopback(settings.host) else None

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = host_name(request.host)
        if names is not None and name not in names and not is_loopback(name):
            called = request.host[:60]
            raise web.HTTPForbidden(text=f"this server is not called {called}; see SEGSTREAM_HOSTS")
        origin = request.headers.get("Origin")
        is_foreign = origin is not None and place_of(origin) != request.host.lower()
        is_allowed = request.method in ("GET", "HEAD") or may_cross(request, settings)
        if is_foreign and not is_allowed:
            raise web.HTTPForbidden(text=f"pages of {origin:.100} may not call this server")
        return await handler(request)

    return check


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises LimitError, aiohttp's HTTPRequestTimeout."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise LimitError(f"body is too large; at most {limit} bytes are read")
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"body took over {BODY_TIMEOUT:g} s") from error
    return bytes(body)


async def read_json(request: web.Request, limit: int) -> Any:
    """The body, parsed. Raises InputError, LimitError, aiohttp's HTTPUnsupportedMediaType and
    HTTPRequestTimeout."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type}; wanted application/json"
        )
    try:
        return json.loads(await read_body(request, limit))
    except (ValueError, RecursionError) as error:
        raise InputError("body is no JSON") from error


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _our_fault(request: web.Request, code: str, message: str) -> web.Response:
    """500, with an id under which the log says why; within an except clause."""
    id = secrets.token_hex(6)
    log.exception("%s %s failed [%s]", request.method, request.path, id)
    return _error(500, code, f"{message}; the server's log says why under {id}")


def _error(status: int, code: str, message: str) -> web.Response:
    text = message if len(message) <= MAX_ERROR else f"{message[:MAX_ERROR]}…"
    return web.json_response({"error": {"code": code, "message": text}}, status=status)

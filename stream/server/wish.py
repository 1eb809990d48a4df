"""What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) have in common."""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web

from stream.errors import OfferError
from stream.limits import MAX_SDP
from stream.network import IceServer
from stream.server import trickle
from stream.server.access import was_passed_on
from stream.server.connection import Connection
from stream.server.gate import GATE
from stream.server.http import read_body
from stream.server.rtc import PEERS

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
ENDPOINT_METHODS = "POST, OPTIONS"
RESOURCE_METHODS = "DELETE, PATCH, OPTIONS"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_endpoint(router: web.UrlDispatcher, path: str, post: Handler) -> None:
    """POST and OPTIONS; all else is refused, GET too, which RFC 9725 keeps for the future."""
    router.add_post(path, post)
    router.add_options(path, _options(ENDPOINT_METHODS))
    router.add_route(hdrs.METH_ANY, path, _refuse(ENDPOINT_METHODS))


def add_resource(router: web.UrlDispatcher, path: str, delete: Handler, patch: Handler) -> None:
    """What a Location names."""
    router.add_delete(path, delete)
    router.add_patch(path, patch)
    router.add_options(path, _options(RESOURCE_METHODS))
    router.add_route(hdrs.METH_ANY, path, _refuse(RESOURCE_METHODS))


async def read_offer(request: web.Request) -> str:
    """The body. Raises OfferError, LimitError, aiohttp's HTTPUnsupportedMediaType."""
    if request.content_type != SDP:
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type[:60]}; wanted {SDP}",
            headers={"Accept-Post": SDP},
        )
    try:
        return (await read_body(request, MAX_SDP)).decode()
    except UnicodeDecodeError as error:
        raise OfferError("the offer is no text in UTF-8") from error


def created(request: web.Request, location: str, id: str, answer: str) -> web.Response:
    """The answer to an offer. The ETag names its ICE session, the only one there will be."""
    response = web.Response(status=201, body=answer.encode(), content_type=SDP)
    response.headers[hdrs.LOCATION] = location
    response.headers[hdrs.ETAG] = f'"{id}"'
    response.headers["Accept-Patch"] = FRAGMENT
    _add_links(response, request)
    return response


async def patch(request: web.Request, id: str, connection: Connection) -> web.Response:
    """Take candidates that came late. Raises InputError, LimitError, and aiohttp's HTTPException:
    422 for an ICE restart (RFC 9725 section 4.3.1)."""
    if request.content_type != FRAGMENT:
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type[:60]}; wanted {FRAGMENT}",
            headers={"Accept-Patch": FRAGMENT},
        )
    wanted = request.headers.get(hdrs.IF_MATCH, "*")
    if wanted.strip() not in ("*", f'"{id}"'):
        raise web.HTTPPreconditionFailed(text=f'the ETag is "{id}"')
    body = await read_body(request, MAX_SDP)
    fragment = trickle.read(body.decode(errors="replace"))
    if connection.is_restart(fragment):
        raise web.HTTPUnprocessableEntity(text="ICE cannot be restarted; make a new session")
    await connection.add_candidates(fragment)
    return web.Response(status=204)


def reached_at(request: web.Request) -> str | None:
    """The address of this server that the client has reached; None: not known."""
    if was_passed_on(request):
        return None  # that of a reverse proxy's connection
    name = request.transport.get_extra_info("sockname") if request.transport else None
    if not isinstance(name, tuple):
        return None
    address = ipaddress.ip_address(name[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def link(server: IceServer) -> str:
    """The value of a Link header (RFC 9725 section 4.6)."""
    fields = [f'<{server.url}>; rel="ice-server"']
    if server.username is not None and server.credential is not None:
        fields += [
            f'username="{_quoted(server.username)}"',
            f'credential="{_quoted(server.credential)}"',
            'credential-type="password"',
        ]
    return "; ".join(fields)


def for_browsers(servers: tuple[IceServer, ...]) -> list[Mapping[str, str]]:
    """RTCConfiguration.iceServers of the page."""
    return [
        {"urls": server.url}
        if server.username is None or server.credential is None
        else {"urls": server.url, "username": server.username, "credential": server.credential}
        for server in servers
    ]


def _add_links(response: web.Response, request: web.Request) -> None:
    for server in request.app[PEERS].network.servers(time.time()):
        response.headers.add(hdrs.LINK, link(server))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _options(allowed: str) -> Handler:
    async def options(request: web.Request) -> web.StreamResponse:
        response = web.Response(headers={hdrs.ALLOW: allowed})
        response.headers["Accept-Post" if "POST" in allowed else "Accept-Patch"] = (
            SDP if "POST" in allowed else FRAGMENT
        )
        # A preflight bears no token, and ICE servers may have passwords.
        if await request.app[GATE].lets_in(request):
            _add_links(response, request)
        return response

    return options


def _refuse(allowed: str) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(
            request.method, allowed.split(", "), text=f"wanted {allowed}, not {request.method}"
        )

    return refuse

"""WHEP (draft-ietf-wish-whep): programs and pages watch a session, however it was begun, or one of
the server's cameras."""

from aiohttp import web

from stream.server import offer, wish
from stream.server.cameras import CAMERAS
from stream.server.rtc import PEERS, camera_key
from stream.session import Session


def add_routes(router: web.UrlDispatcher) -> None:
    """The camera's first: no session may be called "camera" (stream.server.whip)."""
    wish.add_endpoint(router, "/whep/camera/{camera}", post)
    wish.add_resource(router, "/whep/camera/{camera}/{viewer}", delete, patch)
    wish.add_endpoint(router, "/whep/{session}", post)
    wish.add_resource(router, "/whep/{session}/{viewer}", delete, patch)


async def post(request: web.Request) -> web.Response:
    """Send the picture to one more viewer, and its sound if both have a use for it."""
    watched = _watched(request)
    _session(request)  # 404 before all else
    checked = offer.read_viewer(await wish.read_offer(request))
    session, peers = _session(request), request.app[PEERS]
    id, answer = await peers.admit(watched, session, checked, wish.reached_at(request))
    return wish.created(request, f"/whep/{watched}/{id}", id, answer)


async def delete(request: web.Request) -> web.Response:
    _session(request)
    await request.app[PEERS].end_viewer(_watched(request), request.match_info["viewer"])
    return web.Response(status=200)


async def patch(request: web.Request) -> web.Response:
    _session(request)
    id = request.match_info["viewer"]
    viewer = request.app[PEERS].viewer(_watched(request), id)
    return await wish.patch(request, id, viewer.connection)


def _watched(request: web.Request) -> str:
    """What its viewers are kept under, and the address's part behind /whep/."""
    camera = request.match_info.get("camera")
    return request.match_info["session"] if camera is None else camera_key(camera)


def _session(request: web.Request) -> Session:
    """Raises aiohttp's HTTPNotFound."""
    camera = request.match_info.get("camera")
    if camera is not None:
        return request.app[CAMERAS].get(camera).session
    return request.app[PEERS].session(request.match_info["session"])

"""WHEP (draft-ietf-wish-whep): programs and pages watch a session, however it was begun."""

from aiohttp import web

from stream.server import offer, wish
from stream.server.rtc import PEERS


def add_routes(router: web.UrlDispatcher) -> None:
    wish.add_endpoint(router, "/whep/{session}", post)
    wish.add_resource(router, "/whep/{session}/{viewer}", delete, patch)


async def post(request: web.Request) -> web.Response:
    """Send the session's picture to one more viewer, and its sound if both have a use for it."""
    session = request.match_info["session"]
    request.app[PEERS].session(session)  # 404 before all else
    checked = offer.read_viewer(await wish.read_offer(request))
    id, answer = await request.app[PEERS].admit(session, checked, wish.reached_at(request))
    return wish.created(request, f"/whep/{session}/{id}", id, answer)


async def delete(request: web.Request) -> web.Response:
    names = request.match_info
    await request.app[PEERS].end_viewer(names["session"], names["viewer"])
    return web.Response(status=200)


async def patch(request: web.Request) -> web.Response:
    names = request.match_info
    viewer = request.app[PEERS].viewer(names["session"], names["viewer"])
    return await wish.patch(request, names["viewer"], viewer.connection)

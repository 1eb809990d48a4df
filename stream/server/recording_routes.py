"""/cameras/NAME/recording and /sessions/ID/recording (docs/cameras.md). It ends when it is deleted,
or with the camera, the session or the server."""

from aiohttp import web

from stream.server import gate
from stream.server.downloads import DOWNLOADS
from stream.server.streams import PLACES, outlets


def add_routes(app: web.Application) -> None:
    for place in PLACES:
        app.router.add_get(place + "/recording", _get)
        app.router.add_post(place + "/recording", _post)
        app.router.add_delete(place + "/recording", _delete)


async def _get(request: web.Request) -> web.Response:
    recorder = outlets(request).recorder
    told = {
        "possible": recorder.is_possible,
        "allowed": gate.may_change(request),
        "recording": recorder.state(),
    }
    return web.json_response(told)


async def _post(request: web.Request) -> web.Response:
    """Who begins it is told by which address he may fetch it."""
    recorder = outlets(request).recorder
    begun = recorder.start()
    state = dict(recorder.state() or {})
    if begun is not None:
        state["downloads"] = await request.app[DOWNLOADS].offer(begun)
    return web.json_response(state, status=201)


async def _delete(request: web.Request) -> web.Response:
    await outlets(request).recorder.stop()
    return web.Response(status=204)

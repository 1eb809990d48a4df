"""/cameras/NAME/recording and /sessions/ID/recording (docs/cameras.md). It ends when it is deleted,
or with the camera, the session or the server."""

from aiohttp import web

from stream.server.cameras import CAMERAS
from stream.server.downloads import DOWNLOADS
from stream.server.recorder import Recorder
from stream.server.rtc import PEERS


def add_routes(app: web.Application) -> None:
    for path in ("/cameras/{camera}/recording", "/sessions/{session}/recording"):
        app.router.add_get(path, _get)
        app.router.add_post(path, _post)
        app.router.add_delete(path, _delete)


async def _get(request: web.Request) -> web.Response:
    recorder = _recorder(request)
    return web.json_response({"possible": recorder.is_possible, "recording": recorder.state()})


async def _post(request: web.Request) -> web.Response:
    """Who begins it is told by which address he may fetch it."""
    recorder = _recorder(request)
    begun = recorder.start()
    state = dict(recorder.state() or {})
    if begun is not None:
        state["downloads"] = request.app[DOWNLOADS].offer(begun)
    return web.json_response(state, status=201)


async def _delete(request: web.Request) -> web.Response:
    await _recorder(request).stop()
    return web.Response(status=204)


def _recorder(request: web.Request) -> Recorder:
    """Raises aiohttp's HTTPNotFound."""
    camera = request.match_info.get("camera")
    if camera is not None:
        return request.app[CAMERAS].get(camera).recorder
    return request.app[PEERS].recorder(request.match_info["session"])

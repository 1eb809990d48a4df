"""/cameras: what there is, how it is, and what can be watched of it (docs/cameras.md)."""

from aiohttp import web

from stream.cameras import read_config, read_effect
from stream.compose import effect_fields
from stream.egress import target
from stream.limits import MAX_CAMERA_BODY
from stream.server import effects, mjpeg
from stream.server.cameras import CAMERAS, Camera
from stream.server.http import read_json
from stream.server.rtc import PEERS


def add_routes(app: web.Application) -> None:
    router = app.router
    router.add_get("/cameras", _list)
    router.add_post("/cameras", _post)
    router.add_get("/cameras/{name}", _get)
    router.add_patch("/cameras/{name}", _patch)
    router.add_delete("/cameras/{name}", _delete)
    router.add_get("/cameras/{name}/mjpeg", _camera_mjpeg)
    router.add_get("/cameras/{name}/snapshot.jpg", _camera_snapshot)
    router.add_patch("/sessions/{session}", _patch_session)
    router.add_get("/sessions/{session}/mjpeg", _session_mjpeg)
    router.add_get("/sessions/{session}/snapshot.jpg", _session_snapshot)


async def _list(request: web.Request) -> web.Response:
    cameras = request.app[CAMERAS]
    states = [camera.state() for camera in cameras.list()]
    return web.json_response({"cameras": states, "file_error": cameras.file_error})


async def _post(request: web.Request) -> web.Response:
    given = await read_json(request, MAX_CAMERA_BODY)
    cameras = request.app[CAMERAS]
    config = read_config(given, files=cameras.files)
    config.address.check_available()
    for publish in config.publish:
        target.check_available(target.read(publish, files=cameras.files))
    camera = await cameras.add(config)
    location = {"Location": f"/cameras/{camera.config.name}"}
    return web.json_response(camera.state(), status=201, headers=location)


async def _get(request: web.Request) -> web.Response:
    return web.json_response(_camera(request).state())


async def _patch(request: web.Request) -> web.Response:
    """Its effects, while it is live, and from now on."""
    name = _camera(request).config.name  # 404 before all else
    stack = read_effect(await effects.read(request))
    return web.json_response((await request.app[CAMERAS].set_effect(name, stack)).state())


async def _delete(request: web.Request) -> web.Response:
    await request.app[CAMERAS].remove(request.match_info["name"])
    return web.Response(status=204)


async def _camera_mjpeg(request: web.Request) -> web.StreamResponse:
    return await mjpeg.stream(request, _camera(request).session)


async def _camera_snapshot(request: web.Request) -> web.Response:
    return await mjpeg.snapshot(request, _camera(request).session)


async def _patch_session(request: web.Request) -> web.Response:
    session = request.app[PEERS].session(request.match_info["session"])
    await effects.switch(session, effect_fields.stack(await effects.read(request)))
    return web.json_response({"effects": list(map(effect_fields.told, session.effects))})


async def _session_mjpeg(request: web.Request) -> web.StreamResponse:
    return await mjpeg.stream(request, request.app[PEERS].session(request.match_info["session"]))


async def _session_snapshot(request: web.Request) -> web.Response:
    return await mjpeg.snapshot(request, request.app[PEERS].session(request.match_info["session"]))


def _camera(request: web.Request) -> Camera:
    return request.app[CAMERAS].get(request.match_info["name"])

"""Background pictures: the built-in ones, and those that a session's person uploads."""

from aiohttp import web

from stream.compose import backgrounds
from stream.errors import EffectError
from stream.limits import MAX_BACKGROUND
from stream.server.http import read_body
from stream.server.rtc import PEERS

TYPES = ("image/jpeg", "image/png", "image/webp", "video/mp4", "video/webm")


async def get_names(_request: web.Request) -> web.Response:
    return web.json_response({"backgrounds": backgrounds.names()})


async def get_picture(request: web.Request) -> web.FileResponse:
    try:
        path = backgrounds.path(request.match_info["name"])
    except EffectError as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return web.FileResponse(path, headers={"Content-Type": "image/jpeg"})


async def post_picture(request: web.Request) -> web.Response:
    session = request.app[PEERS].session(request.match_info["session"])
    if request.content_type not in TYPES:
        raise web.HTTPUnsupportedMediaType(
            text=f"content type is {request.content_type}; wanted {', '.join(TYPES)}"
        )
    data = await read_body(request, MAX_BACKGROUND)
    return web.json_response({"background": await session.add_background(data)})

"""/cameras/NAME/publications and /sessions/ID/publications: what is published to where
(docs/cameras.md). It ends when it is deleted, or with the camera, the session or the server; what
is to be kept is in the camera's own `publish`."""

from aiohttp import web

from stream.egress import target
from stream.errors import InputError
from stream.limits import MAX_CAMERA_BODY
from stream.server import gate
from stream.server.addresses import ANYWHERE, Allowed
from stream.server.cameras import CAMERAS
from stream.server.http import read_json
from stream.server.publications import Publications
from stream.server.streams import PLACES, outlets

ALLOWED = web.AppKey("publication_addresses", Allowed)


def add_routes(app: web.Application) -> None:
    for place in PLACES:
        app.router.add_get(place + "/publications", _list)
        app.router.add_post(place + "/publications", _post)
        app.router.add_delete(place + "/publications/{id}", _delete)


async def _list(request: web.Request) -> web.Response:
    states = _publications(request).states()
    return web.json_response({"publications": states, "allowed": gate.may_change(request)})


async def _post(request: web.Request) -> web.Response:
    _publications(request)  # 404 before all else
    given = await read_json(request, MAX_CAMERA_BODY)
    if not isinstance(given, dict) or set(given) != {"url"}:
        raise InputError('wanted a target like {"url": "rtmp://host/app/key"}')
    publications = _publications(request)
    # Whoever has a key only is a stranger, who must not reach what the server can.
    is_operator = gate.caller(request).key is None
    files = is_operator and request.app[CAMERAS].files
    wanted = target.read(given["url"], files=files)
    allowed = ANYWHERE if is_operator else request.app[ALLOWED]
    id = publications.add(wanted, allowed)
    headers = {"Location": f"{request.path}/{id}"}
    return web.json_response(publications.state(id), status=201, headers=headers)


async def _delete(request: web.Request) -> web.Response:
    await _publications(request).remove(request.match_info["id"])
    return web.Response(status=204)


def _publications(request: web.Request) -> Publications:
    """Raises aiohttp's HTTPNotFound."""
    return outlets(request).publications

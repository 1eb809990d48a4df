"""/cameras/NAME and /sessions/ID: both are streams, with where they go below their address."""

from aiohttp import web

from stream.server.cameras import CAMERAS
from stream.server.outlets import Outlets
from stream.server.rtc import PEERS

PLACES = ("/cameras/{camera}", "/sessions/{session}")


def outlets(request: web.Request) -> Outlets:
    """Raises aiohttp's HTTPNotFound."""
    camera = request.match_info.get("camera")
    if camera is not None:
        return request.app[CAMERAS].get(camera).outlets
    return request.app[PEERS].outlets(request.match_info["session"])

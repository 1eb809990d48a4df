"""The page: plain files, as they lie in client_web."""

from pathlib import Path

from aiohttp import web

import stream

PACKAGE = Path(stream.__file__).parent


def root() -> Path:
    """The page's folder: inside an installed package, or beside it in a checkout."""
    installed = PACKAGE / "client_web"
    return installed if installed.is_dir() else PACKAGE.parent / "client_web"


def add_routes(app: web.Application) -> None:
    """Serve the page at / and below; to be called last, since it takes every path."""
    app.router.add_get("/{path:.*}", _file)
    app.router.add_route("*", "/{path:.*}", _unknown)


async def _unknown(request: web.Request) -> web.Response:
    """405 for a path that takes other methods, 404 for one that there is not."""
    known = {"GET", "HEAD"} if _find(request) is not None else set[str]()
    *others, _ = request.app.router.resources()
    for resource in others:
        known |= (await resource.resolve(request))[1]
    if known - {"OPTIONS"}:  # which whole trees of paths take
        raise web.HTTPMethodNotAllowed(request.method, known)
    raise web.HTTPNotFound(text=f"there is no {request.path[:100]}")


def _find(request: web.Request) -> Path | None:
    """The file that is asked for."""
    folder = root()
    # Looked up, not joined: no path that a client makes up is ever given to the file system.
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.*")}
    return files.get(request.match_info["path"] or "index.html")


async def _file(request: web.Request) -> web.FileResponse:
    file = _find(request)
    if file is None:
        raise web.HTTPNotFound(text=f"there is no {request.path[:100]}")
    # An update of the program must not meet half of the former page in a browser's cache.
    return web.FileResponse(file, headers={"Cache-Control": "no-cache"})

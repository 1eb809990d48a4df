"""/recordings/SECRET: a recording's files, for whoever began it (docs/cameras.md).

Who begins a recording is told an address that cannot be guessed, and may fetch by it what that
recording writes: nothing that was recorded before, and nothing that others begin. Nothing else is
asked for, since what a browser downloads by itself brings no header.
"""

import asyncio
import functools
import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from stream.egress.recording import Written
from stream.errors import Busy
from stream.limits import DOWNLOADABLE_FOR, MAX_DOWNLOADABLE, MAX_DOWNLOADS
from stream.server.kept_downloads import KeptDownloads

PREFIX = "/recordings"


class Downloads:
    """What can be fetched. records: the folder of all recordings, None without one. clock: as
    time.time(). sending: files on their way."""

    def __init__(self, records: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept = None if records is None else KeptDownloads(records)
        self._offered: dict[str, Written] = {}
        """By the hash of the secret."""
        self.sending = 0

    async def load(self) -> None:
        """Offer what was offered before the server ended."""
        if self._kept is not None:
            self._offered = await asyncio.to_thread(self._kept.load)
        self._forget_what_is_over()

    async def offer(self, written: Written) -> str:
        """The address to fetch it by; those begun first make room."""
        self._forget_what_is_over()
        while len(self._offered) >= MAX_DOWNLOADABLE:
            self._forget(next(iter(self._offered)))
        secret = secrets.token_urlsafe(24)
        name = _hash(secret)
        self._offered[name] = written
        if self._kept is not None:
            written.changed = functools.partial(self._kept.save, name)
            await asyncio.to_thread(written.changed, written)
        return f"{PREFIX}/{secret}"

    def find(self, secret: str) -> Written:
        """Raises aiohttp's HTTPNotFound, for what was never offered as for what no longer is."""
        written = self._offered.get(_hash(secret))
        if written is None or self._is_over(written):
            raise web.HTTPNotFound(text="no such recording can be fetched here any more")
        return written

    def check_place(self) -> None:
        """Raises Busy while as many as may be are at it."""
        if self.sending >= MAX_DOWNLOADS:
            raise Busy(f"{MAX_DOWNLOADS} recordings are being fetched already; try again later")

    def _is_over(self, written: Written) -> bool:
        return written.ended is not None and self._clock() - written.ended > DOWNLOADABLE_FOR

    def _forget_what_is_over(self) -> None:
        for name in [name for name, each in self._offered.items() if self._is_over(each)]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        written = self._offered.pop(name)
        if self._kept is not None:
            self._kept.forget(name, written)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


DOWNLOADS = web.AppKey("downloads", Downloads)


def add_routes(app: web.Application, records: Path | None) -> None:
    """records: as in Downloads."""
    app[DOWNLOADS] = Downloads(records)
    app.router.add_get(PREFIX + "/{secret}", _list)
    app.router.add_get(PREFIX + "/{secret}/{file}", _file)


async def _list(request: web.Request) -> web.Response:
    """Those files that are still there: the oldest make room for others."""
    written = request.app[DOWNLOADS].find(request.match_info["secret"])
    files = []
    for path in tuple(written.paths):
        with suppress(OSError):
            size = path.stat().st_size
            files.append({"name": path.name, "url": f"{request.path}/{path.name}", "bytes": size})
    told = {"ended": written.ended is not None, "files": files}
    return web.json_response(told, headers={hdrs.CACHE_CONTROL: "no-store"})


class _Download(web.FileResponse):
    def __init__(self, downloads: Downloads, path: Path) -> None:
        disposition = f'attachment; filename="segstream-{path.name}"'
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_DISPOSITION: disposition}
        super().__init__(path, headers=headers)
        self._downloads = downloads

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it."""
        self._downloads.sending += 1
        try:
            return await super().prepare(request)
        finally:
            self._downloads.sending -= 1


async def _file(request: web.Request) -> web.FileResponse:
    """One file, or a range of it (RFC 9110, 14); what has not ended yet as far as it goes."""
    downloads = request.app[DOWNLOADS]
    path = _named(downloads.find(request.match_info["secret"]), request.match_info["file"])
    downloads.check_place()
    return _Download(downloads, path)


def _named(written: Written, name: str) -> Path:
    """Looked up, not joined: no name that a client makes up is ever given to the file system."""
    for path in tuple(written.paths):
        if path.name == name:
            return path
    raise web.HTTPNotFound(text="the recording has no such file")

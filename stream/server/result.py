"""A job's file on its way to who asked for it."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from stream.server.drain import Drain

ANSWERS = "answers"
"""What the drain calls those that are worked on or sent."""


class Result(web.FileResponse):
    """A file, or a range of it (RFC 9110, 14). The end of the server waits for it: it was paid."""

    def __init__(self, drain: Drain, path: Path, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(path, headers=dict(headers or {}))
        self._drain = drain

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it."""
        with self._drain.hold(ANSWERS):
            return await super().prepare(request)

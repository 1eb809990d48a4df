"""Who is calling: the header `x-api-key`, and what is left to the key, on every answer."""

import asyncio
import math
import sqlite3

from aiohttp import web

from stream.errors import KeyRefused, SegstreamError
from stream.server.access import KEY, REMAINING, host_name, is_paid, was_passed_on
from stream.server.http import is_loopback, request_key
from stream.server.keys import Key, Keys

_CALLER = request_key("caller")


class Access:
    """host: that the server listens on. While there is no key, loopback needs none."""

    def __init__(self, keys: Keys, host: str) -> None:
        self.keys = keys
        self._is_local = is_loopback(host)

    async def identify(self, request: web.Request) -> Key | None:
        """The caller's key; None for somebody on this machine. Raises KeyRefused."""
        given = request.headers.get(KEY)
        if given is not None:
            key = await asyncio.to_thread(self.keys.check, given)
            request[_CALLER] = key.id
            return key
        is_here = self._is_local and is_loopback(host_name(request.host))
        if not is_here or was_passed_on(request) or await asyncio.to_thread(self.keys.any_valid):
            raise KeyRefused(f"this server wants a key in the header {KEY}")
        request[_CALLER] = None
        return None

    async def remaining(self, request: web.Request) -> str:
        """Credits of the caller, in seconds of video; `Infinity` without limit, which JavaScript
        and Python read as a number; 0 where nobody can tell."""
        if _CALLER not in request:
            try:
                await self.identify(request)
            except (SegstreamError, sqlite3.Error):
                return "0"
        id = request[_CALLER]
        try:
            credits = None if id is None else (await asyncio.to_thread(self.keys.get, id)).credits
        except sqlite3.Error:
            return "0"
        return "Infinity" if credits is None else f"{math.floor(credits) / 1000:g}"


ACCESS = web.AppKey("access", Access)


async def add_remaining(request: web.Request, response: web.StreamResponse) -> None:
    """For every answer of what costs credits, the refusing ones too."""
    if is_paid(request):
        response.headers[REMAINING] = await request.app[ACCESS].remaining(request)

"""POST /session-tokens: from a key a token that opens live sessions for a while."""

import asyncio
import json
import time

from aiohttp import web

from stream.errors import InputError, KeyRefused
from stream.limits import MAX_TOKEN_BODY, MAX_TOKEN_SECONDS
from stream.server.access import KEY
from stream.server.gate import GATE
from stream.server.http import read_body

PATH = "/session-tokens"

SECONDS = 3600


async def post(request: web.Request) -> web.Response:
    """201 with a token of the key in `x-api-key`. Body: nothing, or {"seconds": N}."""
    given = request.headers.get(KEY)
    if given is None:
        raise KeyRefused(f"a session token is made from a key; send one in the header {KEY}")
    keys = request.app[GATE].keys
    key = await asyncio.to_thread(keys.check, given)
    seconds = read_seconds(await read_body(request, MAX_TOKEN_BODY))
    expires = int(time.time()) + seconds
    token = await asyncio.to_thread(keys.session_token, key.id, expires)
    answer = {"token": token, "expires": expires, "expires_in": seconds}
    return web.json_response(answer, status=201, headers={"Cache-Control": "no-store"})


def read_seconds(body: bytes) -> int:
    """How long the token is to last. Raises InputError."""
    if not body.strip():
        return SECONDS
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"body is no JSON: {str(error)[:100]}") from error
    seconds = given.get("seconds", SECONDS) if isinstance(given, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise InputError('body is to be {"seconds": N}, or empty')
    if not 1 <= seconds <= MAX_TOKEN_SECONDS:
        raise InputError(f"seconds is {str(seconds)[:20]}; wanted 1 to {MAX_TOKEN_SECONDS}")
    return seconds

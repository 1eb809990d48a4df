"""WHIP (RFC 9725): programs such as OBS, FFmpeg and GStreamer send a stream."""

import re

from aiohttp import web
from multidict import MultiMapping

from stream.compose import effect_fields
from stream.compose.effects import Effect, Stack
from stream.errors import InputError, PromptError
from stream.limits import MAX_OBJECTS, MAX_WORD
from stream.server import offer, wish
from stream.server.gate import GATE, QUERY
from stream.server.rtc import PEERS
from stream.session import Session

PARAMETERS = ("effect", *effect_fields.FIELDS[1:], "text", "session")

REPEATABLE = frozenset({"effect", "text"})

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def add_routes(router: web.UrlDispatcher) -> None:
    wish.add_endpoint(router, "/whip", post)
    wish.add_resource(router, "/whip/{session}", delete, patch)


async def post(request: web.Request) -> web.Response:
    """Begin a session whose pictures come from the publisher; nothing goes back to it."""
    checked = offer.read_publisher(await wish.read_offer(request))
    stack, words, name = read_query(request.query)

    async def prepare(session: Session) -> None:
        await session.begin_with(stack, words)

    async with request.app[GATE].lease(request) as lease:
        id, answer = await request.app[PEERS].accept(
            checked, wish.reached_at(request), name, prepare, source="whip", lease=lease
        )
    return wish.created(request, f"/whip/{id}", id, answer)


async def delete(request: web.Request) -> web.Response:
    # OBS takes nothing but 200 for a success.
    await request.app[PEERS].end(request.match_info["session"], source="whip")
    return web.Response(status=200)


async def patch(request: web.Request) -> web.Response:
    id = request.match_info["session"]
    return await wish.patch(request, id, request.app[PEERS].peer(id, source="whip").connection)


def read_query(query: MultiMapping[str]) -> tuple[Stack, list[str], str | None]:
    """Effects, words and name of the session to begin. Raises InputError and its kinds, LimitError;
    what the words and backgrounds are is checked by the session."""
    if unknown := set(query) - {*PARAMETERS, QUERY}:
        raise InputError(
            f"unknown parameter {sorted(unknown)[0][:40]!r}; known are {', '.join(PARAMETERS)}"
        )
    for key in set(query) - REPEATABLE:
        if len(query.getall(key)) > 1:
            raise InputError(f"parameter {key} is given twice")
    usual = {field: query[field] for field in effect_fields.FIELDS[1:] if field in query}
    stack = effect_fields.of_texts(query.getall("effect", [Effect().name]), usual)
    words = query.getall("text", [])
    if len(words) > MAX_OBJECTS or any(not 0 < len(word.strip()) <= MAX_WORD for word in words):
        raise PromptError(
            f"wanted text=WORD such as text=person, at most {MAX_WORD} characters and "
            f"{MAX_OBJECTS} times"
        )
    name = query.get("session")
    if name is not None and not _NAME.fullmatch(name):
        raise InputError(f"session is {name[:60]!r}; wanted 1 to 40 of A-Z a-z 0-9 _ -")
    if name == "camera":
        raise InputError("session camera cannot be had: /whep/camera/NAME are the server's cameras")
    return stack, words, name

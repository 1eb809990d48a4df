"""Effects that a request switches while a stream is live: of a camera, or of a session."""

import asyncio

from aiohttp import web

from stream.compose.effects import Stack
from stream.errors import Busy, InputError
from stream.limits import EFFECT_TIMEOUT, MAX_CAMERA_BODY
from stream.messages import Event, Rejected, SetEffect
from stream.server.http import read_json
from stream.session import Session


async def read(request: web.Request) -> object:
    """What the body's one field, `effect`, says. Raises InputError, and what read_json raises."""
    given = await read_json(request, MAX_CAMERA_BODY)
    if not isinstance(given, dict) or set(given) != {"effect"}:
        raise InputError('wanted {"effect": …}: a name, an effect as an object, or a list of them')
    return given["effect"]


async def switch(session: Session, stack: Stack) -> None:
    """Show these effects, and no others, from the next picture on.

    Raises EffectError, MediaError, LimitError, with the former ones still in place, and Busy.
    """
    answered: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def hear(event: Event) -> None:
        if not answered.done():
            answered.set_result(event)

    first, *more = stack
    session.request(None, SetEffect(first, tuple(more)), asker=hear)
    try:
        async with asyncio.timeout(EFFECT_TIMEOUT):
            event = await answered
    except TimeoutError as error:
        raise Busy(
            f"the effect was not set within {EFFECT_TIMEOUT:g} s; it may be later"
        ) from error
    if isinstance(event, Rejected):
        raise event.error

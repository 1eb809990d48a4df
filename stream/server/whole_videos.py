"""What the server has for whole videos: keys, jobs and their routes."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from stream.database import Database, data_folder
from stream.jobs.manager import Jobs
from stream.server import (
    callers,
    gate,
    health,
    hosted,
    jobs,
    openapi,
    publication_routes,
    session_tokens,
)
from stream.server.addresses import Allowed
from stream.server.drain import DRAIN
from stream.server.keys import Keys
from stream.server.live_keys import LiveKeys
from stream.server.rtc import PEERS
from stream.server.submit import SUBMISSIONS, Submissions
from stream.settings import Settings


def add_routes(app: web.Application) -> None:
    app.router.add_post(hosted.PATH, hosted.post)
    for path in ("/v1/{path:.*}", "/jobs", "/jobs/{path:.*}"):
        app.router.add_options(path, _preflight)
    app.router.add_route("*", "/v1/{path:.*}", hosted.unknown)
    app.router.add_get("/openapi.json", openapi.get)
    app.router.add_post(session_tokens.PATH, session_tokens.post)
    jobs.add_routes(app)


async def _preflight(_request: web.Request) -> web.Response:
    """What may be sent is in headers that every answer to a page of another site has."""
    return web.Response(status=204)


async def run(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    """As long as the server, after its tracker is there.

    Raises InputError when the folder for data cannot be used.
    """
    allowed = Allowed(settings.fetch_allow)
    database = await asyncio.to_thread(Database, data_folder(settings.data))
    keys = Keys(database)
    drain = app[DRAIN]
    work = Jobs(database, keys, settings, drain, lambda: app[health.TRACKER].is_wanted)
    drain.wait_for("jobs", lambda: work.running)
    app[health.CHECKS].add("data", health.folder(database.folder), lasting=True)
    app[callers.ACCESS] = callers.Access(keys, settings.host)
    live = LiveKeys(database, keys, work.owner.id, work.owner.is_alive)
    app[gate.GATE] = gate.Gate(settings, keys, live, app[PEERS].owner_of)
    app[publication_routes.ALLOWED] = allowed
    phrases = settings.text_model is not None
    app[SUBMISSIONS] = Submissions(
        work, allowed, lambda: app[health.TRACKER].words, settings.model, phrases
    )
    app[jobs.FOLLOWERS] = set()
    await work.start()
    counting = asyncio.create_task(app[gate.GATE].count())
    yield
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    await work.stop()
    await asyncio.to_thread(database.close)

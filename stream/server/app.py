"""The HTTP application: routes, and what lives as long as the server."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from stream.limits import CLOSE_TIMEOUT
from stream.server import access, backgrounds, page, patches, rtc, whole_videos
from stream.server.http import add_headers, errors_as_json, only_same_site
from stream.settings import Settings
from stream.worker.launch import engine
from stream.worker.supervisor import Supervisor


def create_app(settings: Settings, tracker: Supervisor | None = None) -> web.Application:
    """tracker: not started yet; by default with the network that the settings name, which is
    loaded when the application starts (ModelError)."""
    patches.apply()
    app = web.Application(middlewares=[errors_as_json, only_same_site(settings)])
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(access.add_remaining)
    app.cleanup_ctx.append(lambda app: _sessions(app, settings, tracker))
    app.cleanup_ctx.append(lambda app: whole_videos.run(app, settings))
    app.on_shutdown.append(_end_sessions)
    app.router.add_post("/rtc", rtc.post_rtc)
    app.router.add_delete("/rtc/{session}", rtc.delete_rtc)
    app.router.add_post("/sessions/{session}/background", backgrounds.post_picture)
    app.router.add_get("/backgrounds", backgrounds.get_names)
    app.router.add_get("/backgrounds/{name}", backgrounds.get_picture)
    app.router.add_get("/healthz", _healthz)
    whole_videos.add_routes(app)
    page.add_routes(app)
    return app


def run(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM, then end all sessions. Raises ModelError, OSError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("aioice", "aiortc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    web.run_app(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=None,
        shutdown_timeout=CLOSE_TIMEOUT,
    )


async def _sessions(
    app: web.Application, settings: Settings, tracker: Supervisor | None
) -> AsyncIterator[None]:
    """The worker's supervisor, the compositor's threads and the peers, freed in reverse."""
    if tracker is None:
        tracker = Supervisor(engine(settings), settings.min_tracker_rate)
    await asyncio.to_thread(tracker.start)
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="compose")
    app[whole_videos.TRACKER] = tracker
    app[rtc.PEERS] = rtc.Peers(tracker, pool, settings.model)
    yield
    await asyncio.to_thread(tracker.stop)
    await asyncio.to_thread(pool.shutdown)


async def _end_sessions(app: web.Application) -> None:
    await app[rtc.PEERS].end_all()


async def _healthz(request: web.Request) -> web.Response:
    peers = request.app[rtc.PEERS]
    return web.json_response({"status": "ok", "sessions": len(peers), "model": peers.model})

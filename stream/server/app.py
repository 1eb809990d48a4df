"""The HTTP application: routes, and what lives as long as the server."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from stream import logs
from stream.limits import CLOSE_TIMEOUT
from stream.server import backgrounds, drain, health, metrics, page, patches, rtc
from stream.server.http import add_headers, errors_as_json, only_same_site
from stream.settings import Settings
from stream.worker.launch import engine
from stream.worker.supervisor import Supervisor

log = logging.getLogger(__name__)


def create_app(settings: Settings, tracker: Supervisor | None = None) -> web.Application:
    """tracker: not started yet; by default with the network that the settings name, which is
    loaded when the application starts (ModelError)."""
    patches.apply()
    app = web.Application(middlewares=[errors_as_json, only_same_site(settings)])
    app[drain.DRAIN] = drain.Drain(settings.drain_seconds)
    app[health.CHECKS] = health.Checks()
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(lambda app: _sessions(app, settings, tracker))
    app.on_shutdown.append(_end_sessions)
    app.router.add_post("/rtc", rtc.post_rtc)
    app.router.add_delete("/rtc/{session}", rtc.delete_rtc)
    app.router.add_post("/sessions/{session}/background", backgrounds.post_picture)
    app.router.add_get("/backgrounds", backgrounds.get_names)
    app.router.add_get("/backgrounds/{name}", backgrounds.get_picture)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", health.get_readyz)
    app.router.add_get("/metrics", metrics.get_metrics)
    page.add_routes(app)
    return app


def run(settings: Settings) -> None:
    """Serve until Ctrl-C, or SIGTERM and the end of what runs. Raises ModelError, OSError."""
    logs.configure(settings)
    app = create_app(settings)
    app.on_startup.append(drain.on_signals)
    web.run_app(
        app,
        host=settings.host,
        port=settings.port,
        access_log=None,
        print=log.info if settings.log_format == "json" else print,
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
    app[rtc.PEERS] = peers = rtc.Peers(tracker, pool, settings.model, drain=app[drain.DRAIN])
    app[drain.DRAIN].wait_for("sessions", lambda: len(peers))
    app[metrics.SERVER] = metrics.state_of(peers, tracker, app[drain.DRAIN])
    app[health.TRACKER] = tracker
    app[health.CHECKS].add("worker", health.worker(tracker))
    app[health.CHECKS].add("compositor", health.threads(pool))
    watch = asyncio.create_task(health.watch_loop())
    yield
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await asyncio.to_thread(tracker.stop)
    await asyncio.to_thread(pool.shutdown)


async def _end_sessions(app: web.Application) -> None:
    await app[rtc.PEERS].end_all()


async def _healthz(request: web.Request) -> web.Response:
    peers = request.app[rtc.PEERS]
    checks = await request.app[health.CHECKS].run()
    is_well = all(found == "ok" for found in checks.values())
    state = {"sessions": len(peers), "model": peers.model, "checks": checks}
    return web.json_response(
        {"status": "ok" if is_well else "unwell", **state}, status=200 if is_well else 503
    )

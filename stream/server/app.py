"""The HTTP application: routes, and what lives as long as the server."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from aiohttp import web

from stream.cameras import CameraFile, default_path
from stream.limits import CLOSE_TIMEOUT
from stream.server import (
    backgrounds,
    camera_routes,
    mjpeg,
    page,
    patches,
    rtc,
    whep,
    whip,
    wish,
)
from stream.server.access import bearer, cross_origin
from stream.server.cameras import CAMERAS, Cameras
from stream.server.http import add_headers, errors_as_json, only_same_site
from stream.settings import Settings
from stream.worker.launch import engine
from stream.worker.supervisor import Supervisor

SWITCH_INTERVAL = 0.0005
"""Seconds a thread may keep Python's lock while others want it (Python's own: 0.005), as decoder,
compositor, encoder and network hand each picture on. No clear effect measured: docs/latency.md."""


def create_app(settings: Settings, tracker: Supervisor | None = None) -> web.Application:
    """settings: without a file of cameras, those are kept in memory only.

    tracker: not started yet; by default with the network that the settings name, which is
    loaded when the application starts (ModelError)."""
    patches.apply()
    app = web.Application(
        middlewares=[
            cross_origin(settings),
            errors_as_json,
            only_same_site(settings),
            bearer(settings),
        ]
    )
    app[wish.TOKEN] = settings.token
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(lambda app: _sessions(app, settings, tracker))
    app.on_shutdown.append(_end_sessions)
    app.router.add_post("/rtc", rtc.post_rtc)
    app.router.add_delete("/rtc/{session}", rtc.delete_rtc)
    app.router.add_get("/ice-servers", _ice_servers)
    whip.add_routes(app.router)
    whep.add_routes(app.router)
    app.router.add_post("/sessions/{session}/background", backgrounds.post_picture)
    app.router.add_get("/backgrounds", backgrounds.get_names)
    app.router.add_get("/backgrounds/{name}", backgrounds.get_picture)
    camera_routes.add_routes(app)
    app.router.add_get("/healthz", _healthz)
    page.add_routes(app)
    return app


def run(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM, then end all sessions. Raises ModelError, OSError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("aioice", "aiortc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_INTERVAL)
    web.run_app(
        create_app(replace(settings, cameras=settings.cameras or default_path())),
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
    app[rtc.PEERS] = rtc.Peers(
        tracker, pool, settings.model, settings.network, settings.max_bitrate
    )
    app[mjpeg.POOL], app[mjpeg.VIEWERS] = pool, set()
    file = CameraFile(settings.cameras) if settings.cameras is not None else None
    records, files = settings.record, settings.camera_files
    cameras = app[CAMERAS] = Cameras(tracker, pool, file, records, files=files)
    await cameras.start()
    yield
    await asyncio.to_thread(tracker.stop)
    await asyncio.to_thread(pool.shutdown)


async def _end_sessions(app: web.Application) -> None:
    await mjpeg.end_all(app)
    await app[rtc.PEERS].end_all()
    await app[CAMERAS].close()


async def _ice_servers(request: web.Request) -> web.Response:
    """For the page, which needs TURN as much as anybody."""
    servers = wish.for_browsers(request.app[rtc.PEERS].network.ice_servers)
    return web.json_response({"iceServers": servers})


async def _healthz(request: web.Request) -> web.Response:
    peers = request.app[rtc.PEERS]
    cameras = len(request.app[CAMERAS])
    state = {"status": "ok", "sessions": len(peers), "cameras": cameras, "model": peers.model}
    return web.json_response(state)

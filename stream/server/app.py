"""The HTTP application: routes, and what lives as long as the server."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from aiohttp import web
from yarl import URL

from stream import config, logs
from stream.cameras import CameraFile, default_path
from stream.limits import CLOSE_TIMEOUT
from stream.server import (
    backgrounds,
    callers,
    camera_routes,
    downloads,
    drain,
    gate,
    health,
    metrics,
    mjpeg,
    page,
    patches,
    publication_routes,
    recording_routes,
    rtc,
    whep,
    whip,
    whole_videos,
    wish,
)
from stream.server.access import cross_origin
from stream.server.cameras import CAMERAS, Cameras
from stream.server.door import Door
from stream.server.http import add_headers, errors_as_json, only_same_site
from stream.settings import Settings
from stream.worker.launch import engine
from stream.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

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
            gate.guard,
        ]
    )
    app[drain.DRAIN] = drain.Drain(settings.drain_seconds)
    app[health.CHECKS] = health.Checks()
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(callers.add_remaining)
    app.cleanup_ctx.append(lambda app: _sessions(app, settings, tracker))
    app.cleanup_ctx.append(lambda app: whole_videos.run(app, settings))
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
    publication_routes.add_routes(app)
    recording_routes.add_routes(app)
    downloads.add_routes(app, settings.record)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", health.get_readyz)
    app.router.add_get("/metrics", metrics.get_metrics)
    whole_videos.add_routes(app)
    page.add_routes(app)
    return app


def run(settings: Settings) -> None:
    """Serve until Ctrl-C, or SIGTERM and the end of what runs. Raises ModelError, OSError."""
    logs.configure(settings)
    for given, meant in config.misspelt(os.environ).items():
        log.warning("%s is no setting and changes nothing; is %s meant?", given, meant)
    sys.setswitchinterval(SWITCH_INTERVAL)
    app = create_app(replace(settings, cameras=settings.cameras or default_path()))
    tell = log.info if settings.log_format == "json" else print
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(serve(app, settings.host, settings.port, tell))


async def serve(app: web.Application, host: str, port: int, tell: Callable[[str], object]) -> None:
    """Until a signal. tell: is given a line when the port is open.

    Raises what starting the application raises, OSError where the port cannot be opened.
    """
    task, ended = asyncio.current_task(), asyncio.Event()
    assert task is not None
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT)
    with drain.on_signals(task.cancel, task.cancel):  # while it starts, there is nothing to drain
        await runner.setup()
    ending = app[drain.DRAIN]
    with drain.on_signals(lambda: ending.begin(ended.set), lambda: ending.at_once(ended.set)):
        try:
            async with _listening(runner, host, port) as url:
                tell(f"======== Running on {url} ========\n(Press CTRL+C to quit)")
                await ended.wait()
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def _listening(runner: web.AppRunner, host: str, port: int) -> AsyncIterator[URL]:
    """Where the port is open."""
    assert runner.server is not None
    door = Door(runner.server)
    server = await asyncio.get_running_loop().create_server(door, host, port, backlog=128)
    try:
        yield URL.build(scheme="http", host=host, port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        door.close()


async def _sessions(
    app: web.Application, settings: Settings, tracker: Supervisor | None
) -> AsyncIterator[None]:
    """The worker's supervisor, the compositor's threads and the peers, freed in reverse."""
    if tracker is None:
        tracker = Supervisor(engine(settings), settings.min_tracker_rate)
    await asyncio.to_thread(tracker.start)
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="compose")
    ending = app[drain.DRAIN]
    app[rtc.PEERS] = peers = rtc.Peers(
        tracker,
        pool,
        settings.model,
        settings.network,
        settings.max_bitrate,
        ending,
        settings.record,
    )
    app[mjpeg.POOL], app[mjpeg.VIEWERS] = pool, set()
    app[CAMERAS] = cameras = _cameras(settings, tracker, pool, ending)
    ending.wait_for("sessions", lambda: len(peers))
    ending.wait_for("viewers", lambda: _viewers(app))
    app[health.TRACKER] = tracker
    app[health.CHECKS].add("worker", health.worker(tracker))
    app[health.CHECKS].add("compositor", health.threads(pool))
    if settings.record is not None:
        with contextlib.suppress(OSError):  # the check says what is wrong
            settings.record.mkdir(parents=True, exist_ok=True)
        app[health.CHECKS].add("record", health.folder(settings.record), lasting=True)
    await app[downloads.DOWNLOADS].load()
    await cameras.start()
    watch = asyncio.create_task(health.watch_loop())
    yield
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await asyncio.to_thread(tracker.stop)
    await asyncio.to_thread(pool.shutdown)


def _cameras(
    settings: Settings, tracker: Supervisor, pool: ThreadPoolExecutor, ending: drain.Drain
) -> Cameras:
    file = CameraFile(settings.cameras) if settings.cameras is not None else None
    return Cameras(
        tracker,
        pool,
        file,
        settings.record,
        files=settings.camera_files,
        drain=ending,
        max_bitrate=settings.max_bitrate,
        network=settings.network,
    )


def _viewers(app: web.Application) -> int:
    """Who only watches, by WebRTC or as motion JPEG."""
    return sum(app[rtc.PEERS].watching.values()) + len(app[mjpeg.VIEWERS])


async def _end_sessions(app: web.Application) -> None:
    await mjpeg.end_all(app)
    await app[rtc.PEERS].end_all()
    await app[CAMERAS].close()


async def _ice_servers(request: web.Request) -> web.Response:
    """For the page, which needs TURN as much as anybody."""
    servers = wish.for_browsers(request.app[rtc.PEERS].network.servers(time.time()))
    return web.json_response({"iceServers": servers})


async def _healthz(request: web.Request) -> web.Response:
    peers = request.app[rtc.PEERS]
    checks = await request.app[health.CHECKS].run()
    is_well = request.app[health.CHECKS].is_well(checks)
    state = {
        "status": "ok" if is_well else "unwell",
        "sessions": len(peers),
        "viewers": _viewers(request.app),
        "cameras": len(request.app[CAMERAS]),
        "model": peers.model,
        "checks": checks,
    }
    return web.json_response(state, status=200 if is_well else 503)

"""The cameras of a server: each has a session that goes on whether anybody watches or not."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from stream import logs
from stream.cameras import CameraConfig, CameraFile, Configs, add, remove, set_effect
from stream.compose import effect_fields
from stream.compose.effects import Stack
from stream.egress import target
from stream.errors import Busy, SegstreamError
from stream.ingest.address import Transport, shown
from stream.ingest.rtsp import Follower
from stream.ingest.source import MESSAGES, Phase
from stream.limits import MAX_CAMERAS
from stream.messages import AddText, Event, Rejected, Stats
from stream.network import Network
from stream.server import effects
from stream.server.drain import Drain
from stream.server.outlets import Outlets
from stream.server.publications import Publications
from stream.server.recorder import Recorder
from stream.server.steering import Steering
from stream.session import Session
from stream.settings import MAX_BITRATE
from stream.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two statistics, and between two looks at the camera file."""


class Camera:
    """One camera: where its pictures come from, and the session that they go to."""

    def __init__(
        self,
        config: CameraConfig,
        tracker: Supervisor,
        pool: Executor,
        records: Path | None,
        max_bitrate: int,
        network: Network,
    ) -> None:
        self.config = config
        # With a slash, so that no publisher can name its session like it (stream.server.whip).
        self.session = Session(f"camera/{config.name}", tracker, pool, max_bitrate=max_bitrate)
        self.outlets = Outlets(
            Recorder(self.session, records and records / config.name),
            Publications(f"camera {config.name}", self.session, network),
        )
        self._stats: Stats | None = None
        self._trouble = ""
        self._has_begun = False
        self._follower = Follower(
            config.name,
            config.address,
            Transport(config.transport),
            self.session.receive,
            self.session.hear,
            loop=config.loop,
            with_sound=config.sound,
            opened=self._opened,
        )
        self.session.has_sound = config.sound  # as far as is known
        self.session.may_have_sound = config.sound
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.session.start()
        self.session.follow(self._hear)
        if self.config.text:
            self.session.request(None, AddText(self.config.text))
        if self.config.record:
            try:
                self.outlets.recorder.start()
            except SegstreamError as error:
                self._trouble = str(error)
        for publish in self.config.publish:
            try:
                self.outlets.publications.add(target.read(publish, files=True))
            except SegstreamError as error:
                self._trouble = str(error)
                log.error("camera %s: %s", self.config.name, error)
        self._tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._count()),
        ]

    async def close(self) -> None:
        """End it and wait until all is free."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("camera %s failed", self.config.name, exc_info=result)
        await self.outlets.close()
        await self.session.close()

    async def _follow(self) -> None:
        """The effect first: a picture that goes out without it may show what it is to hide."""
        try:
            await self.session.begin_with(self.config.effect)
        except SegstreamError as error:
            self._trouble = str(error)
            log.error("camera %s: %s", self.config.name, error)
            return
        self._has_begun = True
        await self._follower.run()

    async def take(self, config: CameraConfig) -> bool:
        """Go on with a config that differs in its effects alone; False: it has to begin anew."""
        is_same = replace(config, effect=self.config.effect) == self.config
        if not (is_same and self._has_begun):
            return False
        try:
            await self.show(config.effect)
        except SegstreamError as error:
            log.error("camera %s: %s", self.config.name, error)
            return False
        self.config = config
        return True

    async def show(self, stack: Stack) -> None:
        """Raises what `effects.switch` does. One that has not begun yet begins with its config's
        effects."""
        if self._has_begun and self.session.effects != stack:
            await effects.switch(self.session, stack)

    @property
    def phase(self) -> Phase:
        return self._follower.source.look(time.monotonic())

    def state(self) -> dict[str, object]:
        """What the API answers; without any password."""
        now, source, follower = time.monotonic(), self._follower.source, self._follower
        stats = self._stats
        width, height = source.size
        # Until they are set no picture comes, so nobody sees any others.
        effects_shown = self.session.effects if self._has_begun else self.config.effect
        return {
            "name": self.config.name,
            "url": shown(self.config.url),
            "transport": source.transport,
            "state": str(source.look(now)),
            "reason": self._reason(),
            "failure": source.failure and str(source.failure),
            "retry_in": None if source.until is None else round(max(source.until - now, 0), 1),
            "codec": source.codec,
            "width": width,
            "height": height,
            "fps": round(stats.fps_in, 1) if stats else 0.0,
            "tracker_fps": round(stats.fps_tracker, 1) if stats else 0.0,
            "last_picture_age": (
                None if source.last_picture is None else round(now - source.last_picture, 2)
            ),
            "connect_time": follower.connect_time and round(follower.connect_time, 3),
            "pictures": source.pictures,
            "dropped": follower.dropped,
            "damaged": follower.damaged,
            "sound": follower.sound,
            "sound_dropped": follower.sound_dropped,
            "reconnects": source.reconnects,
            "clock_jumps": follower.clock.jumps,
            "codec_changes": source.codec_changes,
            "effect": effects_shown[0].name,
            "effects": list(map(effect_fields.told, effects_shown)),
            "objects": len(self.session.state.objects),
            "trouble": self._trouble,
            "recording": self.outlets.recorder.state(),
            "publications": self.outlets.publications.states(),
        }

    def _reason(self) -> str:
        source = self._follower.source
        if source.failure is None:
            return ""
        return MESSAGES[source.failure] + (f" ({source.detail})" if source.detail else "")

    def _opened(self) -> None:
        self.session.has_sound = bool(self._follower.sound)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Stats):
            self._stats = event
        elif isinstance(event, Rejected):
            self._trouble = str(event.error)[:200]

    async def _count(self) -> None:
        steering = Steering(self.session, lambda: self._follower.dropped)
        while True:
            await asyncio.sleep(TICK)
            steering.look()
            self.session.tell_stats()


class Cameras:
    """All cameras of one server, as the camera file names them.

    file: changes in it are followed; None: they are kept in memory only.
    records: the folder for recordings; None: there are none. files: the API may name files.
    drain: once it has begun, no more are added. It does not wait for cameras, which never end by
    themselves: they are closed with the server. max_bitrate, network: see Peers.
    """

    def __init__(
        self,
        tracker: Supervisor,
        pool: Executor,
        file: CameraFile | None,
        records: Path | None = None,
        *,
        files: bool = False,
        drain: Drain | None = None,
        max_bitrate: int = MAX_BITRATE,
        network: Network | None = None,
    ) -> None:
        self.files = files
        self._drain = drain or Drain(0)
        self.file_error = ""
        self._tracker = tracker
        self._pool = pool
        self._file = file
        self._records = records
        self._max_bitrate = max_bitrate
        self._network = network or Network()
        self._cameras: dict[str, Camera] = {}
        self._stamp: tuple[int, int] | None = None
        self._changing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._sync()
        if self._file is not None:
            self._following = asyncio.create_task(self._follow_file())

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        async with self._changing:
            await asyncio.gather(*(camera.close() for camera in self._cameras.values()))
            self._cameras.clear()

    def __len__(self) -> int:
        return len(self._cameras)

    def list(self) -> list[Camera]:
        return list(self._cameras.values())

    def get(self, name: str) -> Camera:
        """Raises aiohttp's HTTPNotFound."""
        if name not in self._cameras:
            raise web.HTTPNotFound(text=f"no camera {name[:40]}; GET cameras lists all")
        return self._cameras[name]

    async def add(self, config: CameraConfig) -> Camera:
        """Raises InputError, Busy, LimitError."""
        self._drain.check()
        if len(self) >= MAX_CAMERAS:
            raise Busy(f"there are {MAX_CAMERAS} cameras already; remove one first")
        self._tracker.admit()
        await self._change(add(config))
        return self.get(config.name)

    async def set_effect(self, name: str, stack: Stack) -> Camera:
        """Show it with other effects, now and after a restart.

        Raises aiohttp's HTTPNotFound, InputError, and what `effects.switch` does.
        """
        self.get(name)
        await self._change(set_effect(name, stack))
        camera = self.get(name)
        await camera.show(camera.config.effect)  # a viewer may have chosen others
        return camera

    async def remove(self, name: str) -> None:
        """Raises aiohttp's HTTPNotFound, InputError."""
        self.get(name)
        await self._change(remove(name))

    async def _change(self, change: Callable[[Configs], None]) -> None:
        async with self._changing:
            if self._file is None:
                configs = {name: camera.config for name, camera in self._cameras.items()}
                change(configs)
            else:
                configs = await asyncio.to_thread(self._file.update, change)
                self._stamp = self._file.stamp
            await self._become(configs)

    async def _follow_file(self) -> None:
        assert self._file is not None
        while True:
            await asyncio.sleep(TICK)
            try:
                if await asyncio.to_thread(lambda file: file.stamp, self._file) != self._stamp:
                    await self._sync()
            except Exception:  # of one camera; the next change is followed again
                log.exception("not all that the camera file says could be done")

    async def _sync(self) -> None:
        """Do what the file says; a file that cannot be read changes nothing."""
        if self._file is None:
            return
        async with self._changing:
            self._stamp = self._file.stamp
            try:
                configs = await asyncio.to_thread(self._file.read)
            except SegstreamError as error:
                self.file_error = str(error)
                log.error("%s", error)  # the text says it all
                return
            self.file_error = ""
            await self._become(configs)

    async def _become(self, configs: Configs) -> None:
        for name, camera in list(self._cameras.items()):
            config = configs.get(name)
            if config != camera.config and not (config and await camera.take(config)):
                del self._cameras[name]
                log.info("camera %s: removed", name)
                await camera.close()
        for name, config in configs.items():
            if name not in self._cameras:
                camera = Camera(
                    config,
                    self._tracker,
                    self._pool,
                    self._records,
                    self._max_bitrate,
                    self._network,
                )
                self._cameras[name] = camera
                with logs.about(camera=name):  # and all that is begun for it
                    camera.start()
                log.info("camera %s: added, %s", name, shown(config.url))


CAMERAS = web.AppKey("cameras", Cameras)

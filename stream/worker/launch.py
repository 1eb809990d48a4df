"""Starting the worker's process, with an environment in which its memory is cheap."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Protocol

from stream import logs
from stream.frames import Image, Masks
from stream.limits import MAX_BATCH
from stream.loading import load_network
from stream.settings import Settings
from stream.track import finder
from stream.track.finder import Finder
from stream.track.networks.base import Network
from stream.track.tracker import Tracker, step_together
from stream.worker.process import Engine, Load, main

ALLOCATOR: Mapping[str, str] = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_ARENA_MAX": "2",
}
"""glibc reads these when a process starts; what is set already stays. See docs/performance.md."""


class Handle(Protocol):
    """A worker that was started; multiprocessing.Process is one."""

    @property
    def pid(self) -> int | None: ...

    def is_alive(self) -> bool: ...

    def kill(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...

    def close(self) -> None: ...


Launch = Callable[[Connection, Load, bool], Handle]
"""Starts `stream.worker.process.main` with these arguments, in a process of its own."""


def spawn(connection: Connection, load: Load, measure: bool) -> Handle:
    """A new interpreter: it inherits neither locks nor threads, and CUDA works in it."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=main, args=(connection, load, measure), name="segstream-worker", daemon=True
    )
    resource_tracker.ensure_running()  # before the environment is changed, which it would inherit
    with _environment(ALLOCATOR):
        process.start()
    return process


def engine(settings: Settings, max_batch: int | None = None) -> Load:
    """Loads the network that the settings name.

    max_batch: sessions that may share a step; None: what suits the device.
    """
    return functools.partial(_load, settings, max_batch)


class NetworkEngine:
    """max_batch: sessions that may share a step. windowed: see Tracker. finder: for phrases."""

    def __init__(
        self,
        network: Network,
        max_batch: int,
        windowed: bool = False,
        finder: Finder | None = None,
    ) -> None:
        self.max_batch = max_batch
        self.phrases = finder is not None
        self._network = network
        self._windowed = windowed
        self._finder = finder

    @property
    def image_size(self) -> int:
        return self.new_tracker().image_size

    @property
    def words(self) -> tuple[str, ...]:
        return self._network.spec.words

    def new_tracker(self) -> Tracker:
        return Tracker(self._network, windowed=self._windowed, finder=self._finder)

    def step(self, trackers: Sequence[Tracker], images: Sequence[Image]) -> list[Masks]:
        return step_together(trackers, images)


def _load(settings: Settings, max_batch: int | None) -> Engine:
    logs.configure(settings, "worker")
    # On a CPU it leaves half of the cores to the tracker.
    threads = max(1, (settings.threads or os.cpu_count() or 1) // 2)
    found = finder.start(settings.text_model, threads, settings.device, patience=0)
    network = load_network(settings)
    batch = max_batch or (MAX_BATCH if _on_cuda(settings) else 1)
    return NetworkEngine(network, batch, settings.window, found)


def _on_cuda(settings: Settings) -> bool:
    if settings.device == "cpu" or "torch" not in sys.modules:  # the embedded model needs none
        return False
    import torch

    return torch.cuda.is_available()


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with `added` where nothing is set, for what is started within."""
    new = {name: value for name, value in added.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]

"""The detector's own thread: whoever asks does not wait for seconds.

A live tracker asks, goes on with its pictures and looks whether there is an answer; a job, whose
pictures wait for their masks, waits (`patience`).
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.errors import Busy, ModelError, SegstreamError
from stream.frames import Image
from stream.limits import MAX_SEARCHES
from stream.track import detector, words
from stream.track.detector import Found

log = logging.getLogger(__name__)

NICENESS = 9
"""More than the tracker's: masks of what is found already go first."""


class Detector(Protocol):
    def find(self, rgb: NDArray[np.uint8], aspect: float, phrase: str) -> list[Found]:
        """See stream.track.detector.Detector."""
        ...


class Finder:
    """load: makes the detector, on the thread, at once. patience: seconds that a tracker is to
    wait for an answer; 0: it is not to wait. Several trackers may share one; `busy` counts those
    refused."""

    def __init__(self, load: Callable[[], Detector], patience: float = 0.0) -> None:
        self.patience = patience
        self.busy = 0
        self._error = ""
        self._queue: queue.Queue[tuple[Future[list[Found]], Image, str]] = queue.Queue(MAX_SEARCHES)
        threading.Thread(target=self._work, args=(load,), name="finder", daemon=True).start()

    def check(self) -> None:
        """Raise ModelError if the detector could not be loaded."""
        if self._error:
            # A new one each time: raised again, an error keeps the frames of every time.
            raise ModelError(self._error)

    def ask(self, image: Image, phrase: str) -> "Future[list[Found]]":
        """What the phrase names on a picture. Raises Busy, ModelError; the future raises
        ModelError."""
        self.check()
        future: Future[list[Found]] = Future()
        try:
            self._queue.put_nowait((future, image, phrase))
        except queue.Full:
            self.busy += 1
            raise Busy(f"{MAX_SEARCHES} searches for phrases wait already") from None
        return future

    def _work(self, load: Callable[[], Detector]) -> None:
        if sys.platform == "linux":
            os.nice(NICENESS)  # there each thread has its own
        found = self._load(load)
        while True:
            future, image, phrase = self._queue.get()
            if not future.set_running_or_notify_cancel():
                continue  # whoever asked has given up
            if found is None:
                future.set_exception(ModelError(self._error))
                continue
            began = time.monotonic()
            try:
                boxes = found.find(image.rgb, image.width / image.height, phrase)
            except Exception as error:
                log.exception("the search for a phrase failed")
                text = f"the search for a phrase failed: {type(error).__name__}"
                future.set_exception(ModelError(text))
            else:
                seconds = time.monotonic() - began
                log.info("phrase searched for in %.1f s: %s", seconds, detector.names(boxes))
                future.set_result(boxes)

    def _load(self, load: Callable[[], Detector]) -> Detector | None:
        try:
            return load()
        except SegstreamError as error:
            log.error("%s", error)
            self._error = str(error) or "there is no detector"
        except Exception as error:
            log.exception("the detector of phrases cannot be used")
            name = type(error).__name__
            self._error = f"the detector of phrases cannot be used: {name}"[:300]
        return None


def is_wanted(texts: Iterable[str], known: Sequence[str]) -> bool:
    """Whether one of these is no word that the network knows."""
    return any(words.canonical(text) not in known for text in texts)


def start(name: str | None, threads: int | None, device: str, patience: float) -> Finder | None:
    """The finder that the settings name, loading; None when they name none.

    Raises ModelError for what can be known before.
    """
    if name is None:
        return None
    detector.prepare(name)
    return Finder(lambda: detector.load(name, threads, device), patience)

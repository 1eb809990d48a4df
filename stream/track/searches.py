"""Objects that a phrase names: when the detector is asked for them, and what its answer becomes."""

import logging
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from stream.errors import Busy, ModelError, SegstreamError
from stream.frames import Image
from stream.limits import SEARCH_TIMEOUT
from stream.track.detector import Found
from stream.track.finder import Finder
from stream.track.objects import View

log = logging.getLogger(__name__)

PAUSE = 30
"""Pictures of the source after a search in vain until the next one, a second of video: a search
takes as long as many masks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """boxes: on the picture that `view` and `index` are of."""

    boxes: list[Found]
    view: View
    index: int


@dataclass(slots=True)
class _Search:
    future: "Future[list[Found]]"
    view: View
    index: int
    asked: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Answered, or given up."""
        return self.future.done() or time.monotonic() - self.asked > SEARCH_TIMEOUT


class Searches:
    """Of one tracker; one search an object at a time. Keeps the newest picture for them."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self._image: Image | None = None
        self._view: View | None = None
        self._running: dict[int, _Search] = {}
        self._due: dict[int, int] = {}

    def see(self, image: Image, view: View) -> None:
        """The newest picture, before `begin` and `answer`; the view may show a part of it."""
        self._image, self._view = image, view

    def begin(self, object_id: int, phrase: str, *, at_once: bool = False) -> None:
        """Ask for it on the newest picture, unless it is being asked for or was just now.

        at_once: somebody asks, so even then. A tracker that does not wait tries again later when
        it cannot be asked; one that does raises Busy or ModelError.
        """
        assert self._image is not None
        assert self._view is not None
        index = self._image.index
        if at_once:
            self.forget(object_id)
        elif object_id in self._running or index < self._due.get(object_id, 0):
            return
        try:
            future = self.finder.ask(self._image, phrase)
        except (Busy, ModelError):
            if self.finder.patience:
                raise
            self._due[object_id] = index + PAUSE
            return
        self._running[object_id] = _Search(future, self._view, index)

    def answer(self, object_id: int) -> Answer | None:
        """What a search has found, once; None: there is none, it goes on, or it was in vain.

        Raises ModelError when a tracker that waits got no answer.
        """
        search = self._running.get(object_id)
        if search is None or not (self.finder.patience or search.is_over):
            return None
        del self._running[object_id]
        assert self._image is not None
        self._due[object_id] = self._image.index + PAUSE
        try:
            boxes = search.future.result(self.finder.patience)
        except TimeoutError:
            search.future.cancel()
            if not self.finder.patience:
                log.warning("a search for a phrase took over %g s; it is given up", SEARCH_TIMEOUT)
                return None
            raise ModelError(
                f"the search for a phrase took over {self.finder.patience:g} s"
            ) from None
        except SegstreamError:
            if self.finder.patience:
                raise
            return None  # the finder has logged it
        return Answer(boxes, search.view, search.index) if boxes else None

    def forget(self, object_id: int) -> None:
        """The object is gone, or sought anew."""
        search = self._running.pop(object_id, None)
        if search is not None:
            search.future.cancel()
        self._due.pop(object_id, None)

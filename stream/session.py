"""One live stream from ingest to egress.

The picture never waits for the model: every picture is composited with the newest masks, and the
tracker works on the newest picture whenever it is free.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose import backgrounds
from stream.compose.compositor import Compositor
from stream.compose.effects import HIDES_BACKGROUND, Effect
from stream.errors import LimitError, MediaError, SegstreamError
from stream.frames import Frame, Masks
from stream.limits import (
    KEPT_SIDE,
    MASK_STALE,
    MAX_COMMANDS,
    MAX_OBJECTS,
    MAX_SIDE,
    MAX_UPLOADS,
    RECENT_FRAMES,
)
from stream.mailbox import Mailbox, MailboxClosedError
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    AddText,
    Event,
    Rejected,
    RemoveObject,
    Request,
    Reset,
    SetEffect,
    State,
    Undo,
)
from stream.meter import Meter
from stream.metrics import FRAMES_DROPPED, STAGE_SECONDS
from stream.prompts import Box, Point, Text
from stream.track.words import PERSON, WORDS, query
from stream.worker.messages import AddPrompt, Command, Done, Failed, Report, Update
from stream.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

MAX_NAMES = 4 * MAX_OBJECTS
"""Of objects, those removed long ago included."""

NOTHING_TRACKED = Update(None, (), can_undo=False, received=0.0, commanded=False)


class Session:
    """Everything that belongs to one live stream. All methods run on the event loop's thread.

    tracker: shared by all sessions. pool: threads that composite. on_event: is told the answers
    to requests and what changed; it must return at once.
    `output` holds the newest composited frame, of the size and time of the picture that came in.
    """

    def __init__(
        self, id: str, tracker: Supervisor, pool: Executor, on_event: Callable[[Event], None]
    ) -> None:
        self.id = id
        self.output: Mailbox[Frame] = Mailbox(on_drop=FRAMES_DROPPED["egress"].inc)
        self.last_picture = time.monotonic()
        self._tracker = tracker
        self._pool = pool
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._arrived: Mailbox[Frame] = Mailbox(on_drop=FRAMES_DROPPED["compose"].inc)
        self._recent: deque[Frame] = deque(maxlen=RECENT_FRAMES)
        self._index = 0
        self._size = (0, 0)
        self._compositor = Compositor()
        self._effects: asyncio.Queue[tuple[int | None, Effect]] = asyncio.Queue(MAX_COMMANDS)
        self._uploads: dict[str, NDArray[np.uint8]] = {}
        self._background: tuple[str | None, NDArray[np.uint8] | None] = (None, None)
        self._upload_numbers = itertools.count(1)
        self._object_ids = itertools.count(1)
        self._tokens = itertools.count()
        self._commands: dict[int, Accepted] = {}
        self._names: dict[int, str] = {}
        self._was_prompted = False
        self._tracked = NOTHING_TRACKED
        self._meter = Meter()
        self._egress_dropped = 0
        self._has_complained = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tracker.open(self.id, self._report)
        self._begin(self._composite())
        self._begin(self._set_effects())

    async def close(self) -> None:
        """End all work; what waits is dropped."""
        self._tracker.close(self.id)
        self._arrived.close()
        self.output.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def receive(self, picture: av.VideoFrame) -> None:
        """Take the next picture of the stream."""
        self.last_picture = time.monotonic()
        self._meter.arrived += 1
        if max(picture.width, picture.height) > MAX_SIDE:
            FRAMES_DROPPED["too_large"].inc()
            self._complain(
                LimitError(
                    f"pictures of {picture.width}x{picture.height} are dropped; "
                    f"send at most {MAX_SIDE} pixels a side"
                )
            )
            return
        frame = Frame(
            picture,
            self._index,
            picture.pts or 0,
            picture.time_base or Fraction(1, 90_000),
            self.last_picture,
        )
        self._index += 1
        self._size = (picture.width, picture.height)
        self._recent.append(frame)
        self._arrived.put(frame)
        self._tracker.submit(self.id, frame)

    def request(self, number: int | None, request: Request, seen: int | None = None) -> None:
        """Begin what is asked for; the answer, with `number`, comes as an event.

        seen: index of the frame that the person pointed at; None: the newest.
        """
        try:
            match request:
                case AddPoint(x, y, positive, object_id):
                    self._was_prompted = True
                    self._return_to(seen)
                    id = next(self._object_ids) if object_id is None else object_id
                    prompt = AddPrompt(Point(id, x, y, positive), object_id is None, seen)
                    self._command(Accepted(number, id), prompt)
                case AddBox(x0, y0, x1, y1, object_id):
                    self._was_prompted = True
                    self._return_to(seen)
                    id = next(self._object_ids) if object_id is None else object_id
                    prompt = AddPrompt(Box(id, x0, y0, x1, y1), object_id is None, seen)
                    self._command(Accepted(number, id), prompt)
                case AddText(word):
                    self._ask_for(number, word)
                case RemoveObject() | Undo() | Reset():
                    self._command(Accepted(number), request)
                case SetEffect(effect):
                    self._effects.put_nowait((number, effect))
        except asyncio.QueueFull:
            error = LimitError(f"{MAX_COMMANDS} effects wait already; try again in a moment")
            self._on_event(Rejected(number, error))
        except SegstreamError as error:
            self._on_event(Rejected(number, error))

    def _ask_for(self, number: int | None, word: str) -> None:
        """Raises PromptError for a word that the model does not know, with those that it does."""
        word = WORDS[query(word, self.words)]
        self._was_prompted = True
        id = next(self._object_ids)
        self._names[id] = word
        while len(self._names) > MAX_NAMES:
            del self._names[next(iter(self._names))]
        self._command(Accepted(number, id), AddPrompt(Text(id, word), new=True))

    def _find_person(self) -> None:
        """Whoever hides the background without having pointed at anything means himself."""
        if not self._was_prompted and PERSON in self.words:
            self._ask_for(None, PERSON)

    def _return_to(self, seen: int | None) -> None:
        """Let the first prompt find the picture it was made on: while nothing is tracked, the
        tracker keeps no frames of its own."""
        if self._tracked.masks is None:
            for frame in self._recent:
                if frame.index == seen:
                    self._tracker.submit(self.id, frame)

    @property
    def words(self) -> tuple[str, ...]:
        """That objects can be asked for by."""
        return self._tracker.words

    def background_names(self) -> tuple[str, ...]:
        return (*backgrounds.names(), *self._uploads)

    async def add_background(self, data: bytes) -> str:
        """Keep an uploaded picture and return the name that effects call it by.

        The newest MAX_UPLOADS are kept. Raises MediaError, LimitError.
        """
        picture = await self._loop.run_in_executor(self._pool, _decode, data)
        name = f"upload-{next(self._upload_numbers)}"
        self._uploads[name] = picture
        while len(self._uploads) > MAX_UPLOADS:
            del self._uploads[next(iter(self._uploads))]
        return name

    def tell_state(self) -> None:
        self._on_event(
            State(
                self._tracked.sightings,
                self._compositor.effect,
                self._tracked.can_undo,
                self._names,
            )
        )

    def tell_stats(self) -> None:
        """Tell what happened since the last call; called once a second."""
        drops = {
            "tracker": self._tracker.dropped(self.id),
            "compose": self._arrived.dropped,
            "egress": self.output.dropped,
        }
        self._meter.left = self._meter.composed - (self.output.dropped - self._egress_dropped)
        self._on_event(self._meter.stats(self._size, drops))
        self._meter, self._egress_dropped = Meter(), self.output.dropped
        self._has_complained = False

    def queue_ages(self) -> dict[str, float]:
        """Seconds since the picture that waits in each queue was received."""
        now = time.monotonic()
        queues = {"compose": self._arrived.oldest, "egress": self.output.oldest}
        return {
            name: 0.0 if frame is None else now - frame.received for name, frame in queues.items()
        }

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _command(self, answer: Accepted, command: Command) -> None:
        token = next(self._tokens)
        self._tracker.command(self.id, token, command)
        self._commands[token] = answer

    def _report(self, report: Report) -> None:
        """Called on a thread of the tracker's."""
        self._loop.call_soon_threadsafe(self._on_report, report)

    def _on_report(self, report: Report) -> None:
        match report:
            case Done(token, error):
                answer = self._commands.pop(token)
                self._on_event(answer if error is None else Rejected(answer.number, error))
            case Failed(error):
                self._on_event(Rejected(None, error))
            case Update():
                before, self._tracked = self._tracked, report
                self._meter.tracked += report.received != before.received
                if report.commanded or _looks(report) != _looks(before):
                    self.tell_state()

    async def _composite(self) -> None:
        while True:
            try:
                frame = await self._arrived.get()
            except MailboxClosedError:
                return
            masks = self._masks_for(frame)
            begins = time.monotonic()
            try:
                picture = await self._loop.run_in_executor(
                    self._pool, self._compositor.compose, frame.picture, masks
                )
            except Exception:
                FRAMES_DROPPED["broken"].inc()
                # Nothing goes out instead: the bare picture could show what is to be hidden.
                if not self._has_complained:
                    log.exception("session %s: a picture could not be composited", self.id)
                self._complain(MediaError("a picture could not be composited; try another effect"))
                continue
            STAGE_SECONDS["wait"].observe(begins - frame.received)
            STAGE_SECONDS["compose"].observe(time.monotonic() - begins)
            self._meter.composed += 1
            self._meter.latencies.append(time.monotonic() - frame.received)
            self.output.put(replace(frame, picture=picture))

    def _masks_for(self, frame: Frame) -> Masks | None:
        masks, age = self._tracked.masks, frame.received - self._tracked.received
        if masks is None:
            return None
        self._meter.mask_ages.append(max(age, 0.0))
        # With no mask the compositor hides the whole picture: a stalled tracker fails private.
        hides = self._compositor.effect.name in HIDES_BACKGROUND
        return None if age > MASK_STALE and hides else masks

    async def _set_effects(self) -> None:
        while True:
            number, effect = await self._effects.get()
            try:
                upload = self._uploads.get(effect.background or "")
                await self._loop.run_in_executor(self._pool, self._set_effect, effect, upload)
            except SegstreamError as error:
                self._on_event(Rejected(number, error))
            except Exception:
                log.exception("session %s: effect %s could not be set", self.id, effect.name)
                failed = SegstreamError(f"effect {effect.name} could not be set")
                self._on_event(Rejected(number, failed))
            else:
                self._on_event(Accepted(number))
                self.tell_state()
                if effect.name in HIDES_BACKGROUND:
                    self._find_person()

    def _set_effect(self, effect: Effect, upload: NDArray[np.uint8] | None) -> None:
        name, background = self._background
        if effect.background != name:
            name, background = effect.background, upload
            if name is not None and upload is None:
                background = backgrounds.load(name)
        self._compositor.set_effect(effect, background)
        self._background = (name, background)

    def _complain(self, error: SegstreamError) -> None:
        """Tell an error that would come with every picture, once a second."""
        if not self._has_complained:
            self._has_complained = True
            self._on_event(Rejected(None, error))


def _decode(data: bytes) -> NDArray[np.uint8]:
    picture = backgrounds.decode(data)
    height, width, _ = picture.shape
    scale = KEPT_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cast(NDArray[np.uint8], cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _looks(update: Update) -> tuple[object, ...]:
    """What the page shows of an update; areas change with every picture and are left out."""
    return (
        update.can_undo,
        *((sighting.object_id, sighting.visible) for sighting in update.sightings),
    )

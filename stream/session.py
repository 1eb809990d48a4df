"""One live stream from ingest to egress.

The picture never waits for the model: every picture is composited with the newest masks, and the
tracker works on the newest picture whenever it is free.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from fractions import Fraction

import av

from stream.compose.compositor import Compositor
from stream.compose.effects import Stack
from stream.egress.broadcast import Broadcast
from stream.errors import Busy, LimitError, MediaError, SegstreamError
from stream.fanout import Fanout
from stream.frames import Frame, Masks
from stream.limits import MAX_AGE, MAX_SIDE, MAX_VIEWERS, RECENT_FRAMES
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
from stream.overload import Expected
from stream.session_effects import SessionEffects
from stream.session_objects import Asker, SessionObjects
from stream.settings import MAX_BITRATE
from stream.worker.messages import Done, Failed, Report, Update
from stream.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

Listener = Callable[[av.AudioFrame, float], None]
"""Who is given the sound, and when it arrived."""


class Session:
    """Everything that belongs to one live stream. All methods run on the event loop's thread.

    tracker: shared by all sessions. pool: threads that composite. on_event: follows from the
    beginning. max_bitrate: bits per second of the picture that viewers get.
    has_sound: whether its source sends sound as well, which `hear` passes on as it is.
    may_have_sound: whether it could yet, as a camera may that comes back with other streams.
    tracker_interval: least seconds between two pictures for the tracker.
    broadcast: the composited pictures, encoded once for all peers that watch.
    """

    def __init__(
        self,
        id: str,
        tracker: Supervisor,
        pool: Executor,
        on_event: Callable[[Event], None] | None = None,
        max_bitrate: int = MAX_BITRATE,
    ) -> None:
        self.id = id
        self.last_picture = time.monotonic()
        self.has_sound = self.may_have_sound = False
        self.has_ended = False
        self._viewers: Fanout[Frame] = Fanout(MAX_VIEWERS, FRAMES_DROPPED["egress"].inc)
        self._watching = 0
        self._listeners: list[Listener] = []
        self._encoding: Mailbox[Frame] = Mailbox(on_drop=FRAMES_DROPPED["egress"].inc)
        self.broadcast = Broadcast(self._encoding, max_bitrate)
        self._encoded = 0
        self._tracker = tracker
        self._pool = pool
        self._followers = [] if on_event is None else [on_event]
        self._loop = asyncio.get_running_loop()
        self._arrived: Mailbox[Frame] = Mailbox(on_drop=FRAMES_DROPPED["compose"].inc)
        self._recent: deque[Frame] = deque(maxlen=RECENT_FRAMES)
        self._index = 0
        self._size = (0, 0)
        self._compositor = Compositor()
        self._effects = SessionEffects(
            id, self._compositor, pool, self._answer, self._on_effects_set
        )
        self._objects = SessionObjects(id, tracker, self._answer)
        self._meter = Meter()
        self._composing = Expected()
        self._has_complained = False
        self.tracker_interval = 0.0
        self._submitted = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tracker.open(self.id, self._report)
        self._begin(self._composite())
        self._begin(self._effects.run())
        self.broadcast.start()

    async def close(self) -> None:
        """End all work; what waits is dropped."""
        self.has_ended = True
        self._tracker.close(self.id)
        self._objects.close()
        self._arrived.close()
        self._viewers.close()
        self._encoding.close()
        await self.broadcast.close()
        self._listeners.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def watch(self) -> Mailbox[Frame]:
        """The newest composited frame, of the size and time of the picture that came in, for one
        more viewer; closed when the session ends. Raises Busy."""
        return self._viewers.watch()

    def unwatch(self, frames: Mailbox[Frame]) -> None:
        """Close a viewer's mailbox."""
        self._viewers.unwatch(frames)

    def enter(self) -> None:
        """Take a place among those that watch the broadcast. Raises Busy."""
        if self._watching >= MAX_VIEWERS:
            raise Busy(f"{MAX_VIEWERS} watch already, which is all that may; try again later")
        self._watching += 1

    def leave(self) -> None:
        """Give the place back."""
        self._watching -= 1

    def listen(self, receive: Listener) -> None:
        """Let one more viewer have the sound, as `hear` is given it. receive: must return at once
        and keep nothing that has no bound."""
        self._listeners.append(receive)

    def unlisten(self, receive: Listener) -> None:
        if receive in self._listeners:
            self._listeners.remove(receive)

    def hear(self, sound: av.AudioFrame, arrived: float) -> None:
        """Take the next sound of the stream: 16 bits, mono or stereo, with a time of its own clock.

        arrived: when a picture of the same moment comes in, by time.monotonic(), which is what
        sound and picture are put in step by; it may lie ahead.
        """
        for receive in self._listeners:
            receive(sound, arrived)

    def follow(self, on_event: Callable[[Event], None]) -> None:
        """Tell `on_event` what changes; it must return at once."""
        self._followers.append(on_event)

    def unfollow(self, on_event: Callable[[Event], None]) -> None:
        if on_event in self._followers:
            self._followers.remove(on_event)

    def receive(self, picture: av.VideoFrame, arrived: float | None = None) -> None:
        """Take the next picture of the stream. arrived: when its data had come; None: now."""
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
            self.last_picture if arrived is None else arrived,
        )
        self._index += 1
        self._size = (picture.width, picture.height)
        self._recent.append(frame)
        if not self.broadcast.thins_out(frame.index):
            self._arrived.put(frame)
        if frame.received - self._submitted >= self.tracker_interval:
            self._submitted = frame.received
            self._tracker.submit(self.id, frame)

    def request(
        self,
        number: int | None,
        request: Request,
        seen: int | None = None,
        asker: Asker = None,
    ) -> None:
        """Begin what is asked for; the answer, with `number`, comes as an event.

        seen: index of the frame that the person pointed at; None: the newest.
        asker: is told the answer; None: all who listen are.
        """
        try:
            match request:
                case AddPoint() | AddBox():
                    self._return_to(seen)
                    self._objects.point_at(number, request, seen, asker)
                case AddText(word):
                    self._objects.ask_for(number, word, asker)
                case RemoveObject() | Undo() | Reset():
                    self._objects.change(number, request, asker)
                case SetEffect(effect, more):
                    self._effects.ask_for(number, (effect, *more), asker)
        except SegstreamError as error:
            self._answer(asker, Rejected(number, error))

    def _return_to(self, seen: int | None) -> None:
        """Let the first prompt find the picture it was made on: while nothing is tracked, the
        tracker keeps no frames of its own."""
        if self._objects.tracked.masks is None:
            for frame in self._recent:
                if frame.index == seen:
                    self._tracker.submit(self.id, frame)

    @property
    def words(self) -> tuple[str, ...]:
        """That objects can be asked for by."""
        return self._tracker.words

    @property
    def phrases(self) -> bool:
        """Whether any phrase will do as well."""
        return self._tracker.phrases

    @property
    def passed_over(self) -> int:
        """Pictures that were not composited, as the one before was still at work."""
        return self._arrived.dropped

    @property
    def received(self) -> int:
        """Pictures that came in, in all."""
        return self._index

    def background_names(self) -> tuple[str, ...]:
        return self._effects.background_names()

    async def begin_with(self, stack: Stack, words: Sequence[str] = ()) -> None:
        """Set the effects from the first picture on, and ask for objects by words; without any, an
        effect that hides the background asks for the person. To be called once started.

        Raises EffectError, LimitError, MediaError, PromptError.
        """
        await self._effects.show(stack)
        self.tell_state()
        for word in words:
            self._objects.ask_for(None, word)
        if self._effects.hides_background:
            self._objects.find_person()

    async def add_background(self, data: bytes) -> str:
        """Keep an uploaded picture or video and return the name that effects call it by.

        Raises MediaError, LimitError.
        """
        return await self._effects.add_background(data)

    @property
    def effects(self) -> Stack:
        return self._effects.stack

    @property
    def state(self) -> State:
        first, *more = self.effects
        names, tracked = self._objects.names, self._objects.tracked
        return State(tracked.sightings, first, tracked.can_undo, names, tuple(more))

    def tell_state(self) -> None:
        self._tell(self.state)

    def tell_stats(self) -> None:
        """Tell what happened since the last call; called once a second."""
        drops = {
            "tracker": self._tracker.dropped(self.id),
            "compose": self._arrived.dropped,
            "egress": self._viewers.dropped + self._encoding.dropped,
        }
        self._meter.left = max(self._meter.left, self.broadcast.encoded - self._encoded)
        self._encoded = self.broadcast.encoded
        self._tell(self._meter.stats(self._size, drops))
        self._meter = Meter()
        self._has_complained = False

    def queue_ages(self) -> dict[str, float]:
        """Seconds since the picture that waits in each queue was received."""
        now = time.monotonic()
        queues = {"compose": self._arrived.oldest, "egress": self._encoding.oldest}
        return {
            name: 0.0 if frame is None else now - frame.received for name, frame in queues.items()
        }

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _tell(self, event: Event) -> None:
        for on_event in tuple(self._followers):
            on_event(event)

    def _answer(self, asker: Asker, event: Accepted | Rejected) -> None:
        if asker is None:
            self._tell(event)
        else:
            asker(event)

    def _report(self, report: Report) -> None:
        """Called on a thread of the tracker's."""
        self._loop.call_soon_threadsafe(self._on_report, report)

    def _on_report(self, report: Report) -> None:
        match report:
            case Done():
                self._compositor.trust_masks()
                self._objects.done(report)
            case Failed(error):
                self._tell(Rejected(None, error))
                self._objects.ask_later()
            case Update():
                self._meter.tracked += report.received != self._objects.tracked.received
                if self._objects.found(report):
                    self.tell_state()

    async def _composite(self) -> None:
        while True:
            try:
                frame = await self._arrived.get()
            except MailboxClosedError:
                return
            begins = time.monotonic()
            if self._comes_too_late(frame, begins):
                continue
            masks, age = self._masks_for(frame)
            try:
                picture = await self._loop.run_in_executor(
                    self._pool, self._compositor.compose, frame.picture, masks, frame.index, age
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
            self._composing.took(time.monotonic() - begins)
            self._meter.composed += 1
            self._meter.latencies.append(time.monotonic() - frame.received)
            composed = replace(frame, picture=picture)
            self._encoding.put(composed)
            self._meter.left += self._viewers.put(composed)

    def _comes_too_late(self, frame: Frame, now: float) -> bool:
        """Whether it would be too old to be shown when it has left. Who records, or watches
        without the broadcast, gets it all the same."""
        if not len(self.broadcast) or len(self._viewers):
            return False
        age = now - frame.received
        if age + self._composing.seconds + self.broadcast.expected(frame.picture) <= MAX_AGE:
            return False
        self._composing.skipped()
        self.broadcast.skip()
        return True

    def _masks_for(self, frame: Frame) -> tuple[Masks | None, float]:
        """The newest masks, and how many seconds older than the frame their picture is."""
        tracked = self._objects.tracked
        age = max(frame.received - tracked.received, 0.0)
        if tracked.masks is not None:
            self._meter.mask_ages.append(age)
        return tracked.masks, age

    def _on_effects_set(self) -> None:
        self.tell_state()
        if self._effects.hides_background:
            self._objects.find_person()

    def _complain(self, error: SegstreamError) -> None:
        """Tell an error that would come with every picture, once a second."""
        if not self._has_complained:
            self._has_complained = True
            self._tell(Rejected(None, error))

"""The objects of a session: what is asked of the tracker for them, and what it finds of them.

What nobody is there to ask for again, a camera's words and the person before a background, is asked
for again when it has been lost.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Protocol

from stream.errors import SegstreamError
from stream.limits import MAX_OBJECTS
from stream.messages import Accepted, AddBox, AddPoint, Event, Rejected, RemoveObject, Reset, Undo
from stream.prompts import Box, Point, Text
from stream.track.words import PERSON, resolve
from stream.worker.messages import AddPrompt, Command, Done, Update

log = logging.getLogger(__name__)

MAX_NAMES = 4 * MAX_OBJECTS
"""Of objects, those removed long ago included."""

ASKS_AGAIN = 5.0
"""Seconds after the tracker lost everything, and between tries, until what nobody is there to ask
for is asked for again."""

NOTHING_TRACKED = Update(None, (), can_undo=False, received=0.0, commanded=False)

Asker = Callable[[Event], None] | None
"""Who is told the answer to a request; None: all who listen are."""

Answer = Callable[[Asker, Accepted | Rejected], None]


class Tracker(Protocol):
    """As stream.worker.supervisor.Supervisor says it."""

    @property
    def words(self) -> tuple[str, ...]: ...

    @property
    def phrases(self) -> bool: ...

    def command(self, session: str, token: int, command: Command) -> None: ...


class SessionObjects:
    """answer: is given each answer of the tracker, and who asked.

    `tracked`: the newest. `names`: of the objects that were asked for by a word. All methods run
    on the event loop's thread.
    """

    def __init__(self, session: str, tracker: Tracker, answer: Answer) -> None:
        self.tracked = NOTHING_TRACKED
        self.names: dict[int, str] = {}
        self._session = session
        self._tracker = tracker
        self._answer = answer
        self._object_ids = itertools.count(1)
        self._tokens = itertools.count()
        self._commands: dict[int, tuple[Accepted, Asker]] = {}
        self._standing: list[str] = []
        self._asks_again: asyncio.TimerHandle | None = None
        self._was_prompted = False
        self._has_ended = False

    def close(self) -> None:
        """Ask for nothing again."""
        self._has_ended = True
        if self._asks_again is not None:
            self._asks_again.cancel()

    def point_at(
        self, number: int | None, request: AddPoint | AddBox, seen: int | None, asker: Asker
    ) -> None:
        """Ask for an object, or correct one, by a point or a box on the frame with the index
        `seen`. Raises LimitError, ModelError."""
        self._was_prompted = True
        is_new = request.object_id is None
        id = next(self._object_ids) if request.object_id is None else request.object_id
        prompt: Point | Box
        match request:
            case AddPoint(x, y, positive):
                prompt = Point(id, x, y, positive)
            case AddBox(x0, y0, x1, y1):
                prompt = Box(id, x0, y0, x1, y1)
        self._command(Accepted(number, id), AddPrompt(prompt, is_new, seen), asker)

    def change(
        self, number: int | None, request: RemoveObject | Undo | Reset, asker: Asker
    ) -> None:
        """Raises LimitError, ModelError."""
        self._standing.clear()  # somebody decides what there is to be
        self._command(Accepted(number), request, asker)

    def ask_for(self, number: int | None, word: str, asker: Asker = None) -> None:
        """Without a number nobody is there to ask again.

        Raises LimitError, ModelError; PromptError for a word that the model does not know, with
        those that it does, unless there is a detector for any phrase.
        """
        word = resolve(word, self._tracker.words, self._tracker.phrases)
        self._was_prompted = True
        if number is None and word not in self._standing:
            self._standing.append(word)
        id = next(self._object_ids)
        self.names[id] = word
        while len(self.names) > MAX_NAMES:
            del self.names[next(iter(self.names))]
        try:
            self._command(Accepted(number, id), AddPrompt(Text(id, word), new=True), asker)
        except SegstreamError:
            self.ask_later()
            raise

    def find_person(self) -> None:
        """Whoever hides the background without having pointed at anything means himself. Nobody
        has asked for this, so when it is refused that ends nothing: all stays hidden."""
        if self._was_prompted or not (PERSON in self._tracker.words or self._tracker.phrases):
            return
        try:
            self.ask_for(None, PERSON)
        except SegstreamError as error:
            self._was_prompted = False
            self._answer(None, Rejected(None, error))

    def ask_later(self) -> None:
        """A camera's word, and the person before a background, were asked for by nobody who could
        do so again when the tracker has lost everything; all would stay hidden for ever."""
        if self._standing and self._asks_again is None and not self._has_ended:
            loop = asyncio.get_running_loop()
            self._asks_again = loop.call_later(ASKS_AGAIN, self._ask_again)

    def found(self, update: Update) -> bool:
        """Take what is tracked now. Returns whether the page shows it otherwise than before."""
        before, self.tracked = self.tracked, update
        return update.commanded or _looks(update) != _looks(before)

    def done(self, done: Done) -> None:
        """A command was applied, or refused."""
        answer, asker = self._commands.pop(done.token)
        self._answer(asker, Rejected(answer.number, done.error) if done.error else answer)

    def _ask_again(self) -> None:
        self._asks_again = None
        if self.tracked.masks is not None:
            return
        try:
            for word in self._standing:
                self.ask_for(None, word)
        except SegstreamError as error:
            log.warning("session %s: %s; its words are asked for again", self._session, error)

    def _command(self, answer: Accepted, command: Command, asker: Asker) -> None:
        token = next(self._tokens)
        self._tracker.command(self._session, token, command)
        self._commands[token] = answer, asker


def _looks(update: Update) -> tuple[object, ...]:
    """What the page shows of an update; areas change with every picture and are left out."""
    return (
        update.can_undo,
        *((sighting.object_id, sighting.visible) for sighting in update.sightings),
    )

"""The effects of a session: asked for at any time, set one after the other on the pool's threads,
and the backgrounds that were uploaded for them."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from stream.compose import backgrounds, uploads
from stream.compose.compositor import Compositor
from stream.compose.effects import Stack, check_stack
from stream.compose.uploads import Background, Uploads
from stream.errors import LimitError, SegstreamError
from stream.limits import MAX_COMMANDS
from stream.messages import Accepted, Rejected
from stream.session_objects import Answer, Asker

log = logging.getLogger(__name__)


class SessionEffects:
    """compositor: shows them. pool: threads that load and decode. answer: is given each answer,
    and who asked. on_set: is called once something that was asked for is shown.

    All methods run on the event loop's thread.
    """

    def __init__(
        self,
        session: str,
        compositor: Compositor,
        pool: Executor,
        answer: Answer,
        on_set: Callable[[], None],
    ) -> None:
        self.uploads = Uploads()
        self._session = session
        self._compositor = compositor
        self._pool = pool
        self._answer = answer
        self._on_set = on_set
        self._asked: asyncio.Queue[tuple[int | None, Stack, Asker]] = asyncio.Queue(MAX_COMMANDS)

    @property
    def stack(self) -> Stack:
        """What is shown."""
        return self._compositor.effects

    @property
    def hides_background(self) -> bool:
        return any(effect.hides_background for effect in self.stack)

    def background_names(self) -> tuple[str, ...]:
        return (*backgrounds.names(), *self.uploads.kept)

    async def add_background(self, data: bytes) -> str:
        """Keep an uploaded picture or video and return the name that effects call it by.

        Raises MediaError, LimitError.
        """
        loop = asyncio.get_running_loop()
        return self.uploads.add(await loop.run_in_executor(self._pool, uploads.decode, data))

    def ask_for(self, number: int | None, stack: Stack, asker: Asker) -> None:
        """Have `run` show this instead. Raises LimitError."""
        if self._asked.full():
            raise LimitError(f"{MAX_COMMANDS} effects wait already; try again in a moment")
        self._asked.put_nowait((number, stack, asker))

    async def run(self) -> None:
        """Show what is asked for, until cancelled."""
        while True:
            number, stack, asker = await self._asked.get()
            try:
                await self.show(stack)
            except SegstreamError as error:
                self._answer(asker, Rejected(number, error))
            except Exception:
                names = ", ".join(str(effect.name) for effect in stack)
                log.exception("session %s: effect %s could not be set", self._session, names)
                failed = SegstreamError(f"effect {names} could not be set")
                self._answer(asker, Rejected(number, failed))
            else:
                self._answer(asker, Accepted(number))
                self._on_set()

    async def show(self, stack: Stack) -> None:
        """From the next picture on. Raises EffectError, LimitError, MediaError, with what was shown
        before still in place."""
        kept = dict(self.uploads.kept)  # more may be uploaded meanwhile
        await asyncio.get_running_loop().run_in_executor(self._pool, self._set, stack, kept)

    def _set(self, stack: Stack, kept: Mapping[str, Background]) -> None:
        check_stack(stack)
        used = self.uploads.choose(stack, kept)
        self._compositor.set_effects(stack, used)
        self.uploads.use(used)

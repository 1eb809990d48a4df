"""From a request to a queued job, the same for every way to ask."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from stream.errors import Busy, InputError, ModelError, PromptError
from stream.jobs.manager import Jobs
from stream.jobs.process import JobError
from stream.jobs.request import Request, parse
from stream.jobs.store import Job, new_id
from stream.limits import MAX_INCOMING
from stream.server import fetch, uploads
from stream.server.addresses import Allowed
from stream.server.callers import ACCESS
from stream.server.drain import DRAIN
from stream.track import catalog


class Submissions:
    """words: those that the server's network knows, asked for when they are needed. model: its
    name. phrases: there is a detector for any other."""

    def __init__(
        self,
        jobs: Jobs,
        allowed: Allowed,
        words: Callable[[], Sequence[str]],
        model: str = catalog.EMBEDDED,
        phrases: bool = False,
    ) -> None:
        self.jobs = jobs
        self._allowed = allowed
        self._words = words
        self._model = model
        self._phrases = phrases
        self._incoming = 0

    async def submit(
        self,
        request: web.Request,
        videos: Sequence[str],
        read: Callable[[dict[str, Any]], dict[str, Any]],
        is_call: bool = False,
    ) -> Job:
        """Check the caller, the request and the video, in this order, and queue the job.

        videos: names of the field that holds the video or its URL. read: from the other fields to
        what stream.jobs.request understands. Raises SegstreamError and aiohttp's HTTPException.
        """
        request.app[DRAIN].check()
        access = request.app[ACCESS]
        key = await access.identify(request)
        if key is not None:
            access.keys.check_room(key)
        if self._incoming >= MAX_INCOMING:
            raise Busy("too many videos come in at this moment; try again later")
        self._incoming += 1
        id = new_id()
        taken = False
        try:
            folder = await self.jobs.new_folder(id)
            wanted = await self._receive(request, videos, read, folder / "input")
            found = await self.jobs.probe(id)
            self._check(wanted, found)
            job = await self.jobs.submit(id, key.id if key else None, is_call, found, wanted)
            taken = True
            return job
        finally:
            self._incoming -= 1
            if not taken:
                await self.jobs.remove_folder(id)

    async def _receive(
        self,
        request: web.Request,
        videos: Sequence[str],
        read: Callable[[dict[str, Any]], dict[str, Any]],
        target: Path,
    ) -> dict[str, Any]:
        fields = await uploads.read(request, videos, target)
        named = next((name for name in videos if name in fields), videos[0])
        url = fields.pop(named, None)
        wanted = read(fields)
        asked = parse(wanted)
        words = await asyncio.to_thread(self._words_of, asked.model)
        self._check_words(asked, words)
        if not await asyncio.to_thread(target.exists):
            if not isinstance(url, str) or not url:
                raise InputError(f'"{named}" is to be the URL of a video, or an uploaded file')
            await fetch.fetch(url, target, self._allowed)
        return wanted

    def _words_of(self, model: str | None) -> Sequence[str]:
        """Those that a job's model knows. Raises JobError for one that is not here."""
        if model is None or model == self._model:
            return self._words()
        found = catalog.available(self._model)
        try:
            if model.partition("@")[0] in found:
                return catalog.words(model)
            reason = f"there is no model {model!r} here"
        except ModelError as error:
            reason = str(error)
        raise JobError("unknown_model", f"{reason}; there are {', '.join(found)}", 422)

    def _check_words(self, request: Request, words: Sequence[str]) -> None:
        try:
            request.check_words(words, self._phrases)
        except PromptError as error:
            raise JobError("unknown_word", str(error), 422) from error

    def _check(self, wanted: dict[str, Any], found: dict[str, Any]) -> None:
        """What needs the video: that prompts lie within it."""
        try:
            schedule = parse(wanted).schedule()
            schedule.check(found["width"], found["height"])
            schedule.check_frames(found["frames"])
        except PromptError as error:
            raise JobError(error.code, str(error), 422) from error


SUBMISSIONS = web.AppKey("submissions", Submissions)

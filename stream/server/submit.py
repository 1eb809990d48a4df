"""From a request to a queued job, the same for every way to ask."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from stream.errors import Busy, InputError, PromptError
from stream.jobs.manager import Jobs
from stream.jobs.process import JobError
from stream.jobs.request import Request, parse
from stream.jobs.store import Job, new_id
from stream.limits import MAX_INCOMING
from stream.server import fetch, uploads
from stream.server.addresses import Allowed
from stream.server.callers import ACCESS
from stream.server.drain import DRAIN


class Submissions:
    """words: those that the network knows, asked for when they are needed. phrases: there is a
    detector for any other."""

    def __init__(
        self,
        jobs: Jobs,
        allowed: Allowed,
        words: Callable[[], Sequence[str]],
        phrases: bool = False,
    ) -> None:
        self.jobs = jobs
        self._allowed = allowed
        self._words = words
        self._phrases = phrases
        self._incoming = 0

    async def submit(
        self,
        request: web.Request,
        video: str,
        read: Callable[[dict[str, Any]], dict[str, Any]],
        is_call: bool = False,
    ) -> Job:
        """Check the caller, the request and the video, in this order, and queue the job.

        video: the field that holds the video or its URL. read: from the other fields to what
        stream.jobs.request understands. Raises SegstreamError and aiohttp's HTTPException.
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
            wanted = await self._receive(request, video, read, folder / "input")
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
        video: str,
        read: Callable[[dict[str, Any]], dict[str, Any]],
        target: Path,
    ) -> dict[str, Any]:
        fields = await uploads.read(request, video, target)
        url = fields.pop(video, None)
        wanted = read(fields)
        self._check_words(parse(wanted))
        if not await asyncio.to_thread(target.exists):
            if not isinstance(url, str) or not url:
                raise InputError(f'"{video}" is to be the URL of a video, or an uploaded file')
            await fetch.fetch(url, target, self._allowed)
        return wanted

    def _check_words(self, request: Request) -> None:
        try:
            request.check_words(self._words(), self._phrases)
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

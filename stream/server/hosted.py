"""POST /v1/sam-v2-video: one request, one video back, as the hosted "SAM v2 Video" answers.

A prompt, which is a word, goes before coordinates. `coordinates` are points of the first picture
on the object, `remove_coordinates` points that are not, as [x, y], [[x, y], …] or either as text.
"""

import asyncio
import json
from typing import Any

from aiohttp import web

from stream.errors import InputError, PromptError
from stream.jobs.process import JobError
from stream.jobs.store import CANCELLED, FAILED, Job
from stream.server.drain import DRAIN
from stream.server.result import ANSWERS, Result
from stream.server.submit import SUBMISSIONS

PATH = "/v1/sam-v2-video"

VIDEO = "input_video"

LOOK_INTERVAL = 1.0
"""Seconds between two looks whether the caller is still there."""

TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no", "")

Pairs = list[list[float]]


async def post(request: web.Request) -> web.StreamResponse:
    """200 with the video. When the caller hangs up, the job is cancelled.

    A server that ends waits for its answer, unless the job has not begun. Raises what `submit` and
    `check_done` raise, and Busy.
    """
    submissions, drain = request.app[SUBMISSIONS], request.app[DRAIN]
    jobs = submissions.jobs
    job = await submissions.submit(request, (VIDEO,), read, is_call=True)
    with drain.hold(ANSWERS):
        ended = asyncio.create_task(jobs.ended(job.id))
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=LOOK_INTERVAL)
                if request.transport is None or request.transport.is_closing():
                    await jobs.cancel(job)
                    return web.Response(status=499)
                if drain.has_begun and not jobs.is_running(job.id):
                    await jobs.cancel(job)  # which changes nothing when it has just ended
        finally:
            if not ended.done():
                ended.cancel()
    job = ended.result()
    if job.state == CANCELLED:
        drain.check()
    check_done(job)
    (path,) = jobs.results(job).values()
    return Result(drain, path, {"Content-Type": "video/mp4"})


async def unknown(request: web.Request) -> web.Response:
    """Every other path below /v1, where the page's files would else say 405."""
    if request.path == PATH:
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    raise web.HTTPNotFound(text=f"there is no {request.path[:60]}; there is {PATH}")


def check_done(job: Job) -> None:
    """Raise JobError for one that failed or was cancelled."""
    if job.state == FAILED and job.error is not None:
        error = JobError(**job.error)
        if error.status == 500:  # the log says more of the job, and knows it by its id
            error = JobError(error.code, f"{error} (job {job.id})", error.status)
        raise error
    if job.state == CANCELLED:
        raise JobError("cancelled", "the job was cancelled", 409)


def read(fields: dict[str, Any]) -> dict[str, Any]:
    """A job's request from the endpoint's fields; unknown ones are ignored, as there.

    Raises InputError, PromptError.
    """
    prompt: dict[str, Any]
    word = fields.get("prompt")
    if word is not None and not isinstance(word, str):
        raise PromptError('"prompt" is to be a text')
    if word and word.strip():
        prompt = {"text": word}
    else:
        points = pairs(fields.get("coordinates"), "coordinates")
        if not points:
            raise PromptError('give a "prompt", or "coordinates" of the object')
        removed = pairs(fields.get("remove_coordinates"), "remove_coordinates")
        prompt = {"points": points, "negative": removed}
    overlay = flag(fields.get("overlay_mask"), "overlay_mask")
    return {"prompts": [prompt], "exports": ["overlay" if overlay else "mask"]}


def pairs(given: Any, name: str) -> Pairs:
    """[] when nothing is given. Raises PromptError."""
    wanted = PromptError(f"{name} is not understood; wanted [x, y] or [[x, y], …], in pixels")
    if isinstance(given, str):
        if not given.strip():
            return []
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise wanted from None
    if given is None or given == []:
        return []
    if not isinstance(given, list):
        raise wanted
    found = [given] if not isinstance(given[0], list) else given
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_number, pair)):
            raise wanted
    return found


def flag(given: Any, name: str) -> bool:
    """True when nothing is given, as there. Raises InputError."""
    text = "true" if given is None else str(given).strip().lower()
    if isinstance(given, list | dict) or text not in (*TRUE, *FALSE):
        raise InputError(f"{name} is not understood; wanted true or false")
    return text in TRUE


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)

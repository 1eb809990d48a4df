"""/jobs: work that is taken now and done later."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from aiohttp import web

from stream.errors import Busy, InputError, PromptError
from stream.jobs.manager import Jobs
from stream.jobs.process import JobError
from stream.jobs.store import DONE, Job
from stream.limits import MAX_WAITING_CLIENTS
from stream.server import hosted
from stream.server.callers import ACCESS
from stream.server.drain import DRAIN
from stream.server.result import Result
from stream.server.submit import SUBMISSIONS

VIDEOS = ("input", hosted.VIDEO)

HOSTED = ("prompt", "coordinates", "remove_coordinates", "overlay_mask")
"""Fields that stand for prompts and exports, as at the hosted endpoint."""

LISTED = 100
"""Jobs that GET /jobs shows, the newest."""

HEARTBEAT = 15.0
"""Seconds between two signs of life of an event stream: proxies end a silent one after 30 to 60."""

EVENT_INTERVAL = 0.5
"""Seconds between two events of progress at the least."""


def add_routes(app: web.Application) -> None:
    app.router.add_post("/jobs", post)
    app.router.add_get("/jobs", get_all)
    app.router.add_get("/jobs/{id}", get)
    app.router.add_delete("/jobs/{id}", delete)
    app.router.add_get("/jobs/{id}/events", events)
    app.router.add_get("/jobs/{id}/result", result)
    app.router.add_get("/jobs/{id}/result/{name}", result)


async def post(request: web.Request) -> web.Response:
    """202, with the job; its place is in `Location`."""
    submissions = request.app[SUBMISSIONS]
    job = await submissions.submit(request, VIDEOS, read)
    return web.json_response(
        describe(submissions.jobs, job), status=202, headers={"Location": f"/jobs/{job.id}"}
    )


def read(fields: dict[str, Any]) -> dict[str, Any]:
    """Multipart's fields are texts, and each holds JSON or a plain name. In place of `prompts`, the
    hosted endpoint's fields may be given. Raises InputError, PromptError."""
    meant = {name: fields[name] for name in HOSTED if name in fields}
    found = {name: _value(name, value) for name, value in fields.items() if name not in meant}
    if isinstance(found.get("exports"), str):
        found["exports"] = [name.strip() for name in found["exports"].split(",")]
    if not meant:
        return found
    if "prompts" in found:
        raise PromptError(f'"{next(iter(meant))}" and "prompts" are both given; wanted one of them')
    asked = hosted.read(meant)
    if "overlay_mask" not in meant:
        del asked["exports"]
    return {**asked, **found}


async def get_all(request: web.Request) -> web.Response:
    jobs, key = await _caller(request)
    found = await jobs.list(key, LISTED)
    return web.json_response({"jobs": [describe(jobs, job) for job in found]})


async def get(request: web.Request) -> web.Response:
    jobs, job = await _find(request)
    return web.json_response(describe(jobs, job))


async def delete(request: web.Request) -> web.Response:
    """Cancel a job that has not ended; remove one that has."""
    jobs, job = await _find(request)
    await (jobs.delete(job) if job.has_ended else jobs.cancel(job))
    return web.Response(status=204)


async def events(request: web.Request) -> web.StreamResponse:
    """Server-Sent Events: `progress` whenever there is some, at last the state's name."""
    jobs, job = await _find(request)
    followers = request.app[FOLLOWERS]
    if len(followers) >= MAX_WAITING_CLIENTS:
        raise Busy(f"{MAX_WAITING_CLIENTS} clients follow jobs already; ask GET /jobs/ID instead")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    followers.add(response)
    with suppress(ConnectionError):
        try:
            await _follow(jobs, job, response)
        finally:
            followers.discard(response)
    return response


async def _follow(jobs: Jobs, job: Job, response: web.StreamResponse) -> None:
    while True:
        changed = jobs.progress(job.id).changed
        found = await jobs.get(job.id, job.key)
        if found is None:
            return
        name = found.state if found.has_ended else "progress"
        data = json.dumps(describe(jobs, found))
        await response.write(f"event: {name}\ndata: {data}\n\n".encode())
        if found.has_ended:
            return
        await asyncio.sleep(EVENT_INTERVAL)
        try:
            async with asyncio.timeout(HEARTBEAT):
                await changed.wait()
        except TimeoutError:
            await response.write(b": still there\n\n")


async def result(request: web.Request) -> web.StreamResponse:
    """A file of the job, the first one without a name; ranges of it too (RFC 9110, 14)."""
    jobs, job = await _find(request)
    if job.state != DONE:
        raise JobError("not_done", f"the job is {job.state}; it has no results", 409)
    files = jobs.results(job)
    name = request.match_info.get("name", next(iter(files)))
    if name not in files:
        raise web.HTTPNotFound(text=f"the job has no such result; it has {', '.join(files)}")
    return Result(request.app[DRAIN], files[name])


def describe(jobs: Jobs, job: Job) -> dict[str, Any]:
    """A job as clients see it; times in seconds, progress 0 to 1."""
    progress = jobs.progress(job.id)
    done = job.frames if job.state == DONE else progress.done
    eta = progress.eta(job.frames)
    return {
        "id": job.id,
        "state": job.state,
        "created": job.created,
        "finished": job.finished,
        "duration": job.duration / 1000,
        "model": jobs.model(job),
        "frames": job.frames,
        "frames_done": done,
        "progress": round(min(1.0, done / max(job.frames, 1)), 4),
        "eta": 0 if job.has_ended else None if eta is None else round(eta, 1),
        "error": job.error and {name: job.error[name] for name in ("code", "message")},
        "results": [
            {"name": name, "url": f"/jobs/{job.id}/result/{name}", "bytes": path.stat().st_size}
            for name, path in jobs.results(job).items()
            if job.state == DONE and path.exists()
        ],
    }


async def _caller(request: web.Request) -> tuple[Jobs, str | None]:
    key = await request.app[ACCESS].identify(request)
    return request.app[SUBMISSIONS].jobs, key.id if key else None


async def _find(request: web.Request) -> tuple[Jobs, Job]:
    jobs, key = await _caller(request)
    job = await jobs.get(request.match_info["id"], key)
    if job is None:
        raise web.HTTPNotFound(text="no such job; it was removed or never was")
    return jobs, job


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f'"{name}" is no JSON: {str(error)[:100]}') from error


FOLLOWERS: web.AppKey[set[web.StreamResponse]] = web.AppKey("followers", set)

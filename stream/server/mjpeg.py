"""Motion JPEG and snapshots of a session, for browsers and programs that only take pictures."""

import asyncio
import contextlib
import logging
import socket
import time
from concurrent.futures import Executor

from aiohttp import web

from stream.egress.jpeg import JpegEncoder
from stream.errors import Busy, InputError, MediaError
from stream.frames import Frame
from stream.limits import (
    JPEG_BUFFER,
    MAX_AGE,
    MAX_CAMERA_VIEWERS,
    MAX_JPEG_RATE,
    MAX_SIDE,
    PICTURE_WAIT,
    READ_TIMEOUT,
)
from stream.mailbox import Mailbox, MailboxClosedError
from stream.metrics import FRAMES_DROPPED
from stream.server.drain import DRAIN
from stream.session import Session

log = logging.getLogger(__name__)

LONGEST_PAUSE = 1.0
"""Seconds without a picture until one is sent that is too old: on a machine that is always late a
viewer would see nothing at all."""

LOOK_INTERVAL = 5.0
"""Seconds between two looks whether a viewer is still there, while there are no pictures: only what
is sent would tell."""

BOUNDARY = "segstream-picture"
POOL = web.AppKey("jpeg_pool", Executor)
VIEWERS = web.AppKey("jpeg_viewers", set[asyncio.Task[None] | None])


async def stream(request: web.Request, session: Session) -> web.StreamResponse:
    """multipart/x-mixed-replace (RFC 2046), ?fps= and ?width= at most, until the viewer goes.

    Raises InputError, Busy.
    """
    rate = _number(request, "fps", 15, MAX_JPEG_RATE)
    encoder = JpegEncoder(_number(request, "width", 1280, MAX_SIDE))
    request.app[DRAIN].check()
    viewers = request.app[VIEWERS]
    if len(viewers) >= MAX_CAMERA_VIEWERS:
        raise Busy(f"{MAX_CAMERA_VIEWERS} viewers of JPEG are connected already")
    task = asyncio.current_task()
    frames = session.watch()
    viewers.add(task)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}",
            "Cache-Control": "no-store",
        }
    )
    try:
        await response.prepare(request)
        _bound_buffer(request)
        await _send(request, response, frames, encoder, rate)
    except (TimeoutError, ConnectionError, MailboxClosedError):
        pass  # the viewer is gone or reads nothing, or the session ended
    except Exception:
        if not response.prepared:
            raise
        log.exception("session %s: motion JPEG failed", session.id)
    finally:
        session.unwatch(frames)
        viewers.discard(task)
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    frames: Mailbox[Frame],
    encoder: JpegEncoder,
    rate: int,
) -> None:
    loop, pool = asyncio.get_running_loop(), request.app[POOL]
    due = shown = loop.time()
    while True:
        frame = await _next(frames, request, shown + LONGEST_PAUSE)
        # Half a picture early is in time, else 30 a second would become 15 for every 25.
        if loop.time() < due - 0.5 / rate:
            continue
        due = max(due, loop.time() - 1 / rate) + 1 / rate
        data = await loop.run_in_executor(pool, encoder.encode, frame.picture)
        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        async with asyncio.timeout(READ_TIMEOUT):
            await response.write(head.encode() + data + b"\r\n")
        shown = loop.time()


def _bound_buffer(request: web.Request) -> None:
    """Let what a slow viewer does not take wait where a newer picture takes its place, and not in
    the kernel, which would keep seconds of them."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, JPEG_BUFFER)


async def _next(frames: Mailbox[Frame], request: web.Request, at_latest: float) -> Frame:
    """One that is not too old; from the loop's time `at_latest` on, any. Raises
    ConnectionResetError when the viewer has gone meanwhile."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_INTERVAL):
                while True:
                    frame = await frames.get()
                    is_new = time.monotonic() - frame.received <= MAX_AGE
                    if is_new or loop.time() >= at_latest:
                        return frame
                    FRAMES_DROPPED["viewer"].inc()
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError


async def snapshot(request: web.Request, session: Session) -> web.Response:
    """The next composited picture. Raises InputError, MediaError."""
    encoder = JpegEncoder(_number(request, "width", MAX_SIDE, MAX_SIDE))
    frames = session.watch()
    try:
        async with asyncio.timeout(PICTURE_WAIT):
            frame = await frames.get()
    except (TimeoutError, MailboxClosedError) as error:
        raise MediaError(f"no picture came within {PICTURE_WAIT:g} s") from error
    finally:
        session.unwatch(frames)
    loop = asyncio.get_running_loop()
    data = await loop.run_in_executor(request.app[POOL], encoder.encode, frame.picture)
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=data, content_type="image/jpeg", headers=headers)


async def end_all(app: web.Application) -> None:
    """They would go on as long as their sessions."""
    tasks = [task for task in app[VIEWERS] if task is not None]
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= most):
        raise InputError(f"{name} is {text[:20]!r}; wanted a whole number from 1 to {most}")
    return int(text)

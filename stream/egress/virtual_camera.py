"""What a session shows as a camera of this machine, for any program that reads cameras.

Here is the server's side, and the process that writes to the device: `python -m
stream.egress.virtual_camera DEVICE DESCRIPTOR`, for a driver may block like a network. Pictures are
passed through shared memory, one at a time: while the device takes one the newest waits.
"""

import asyncio
import contextlib
import json
import mmap
import os
import sys
from collections.abc import Callable, Iterator

import av
import numpy as np

from stream.child import Child, ChildDied
from stream.compose.planes import Planes
from stream.egress import v4l2
from stream.egress.publication import Failure
from stream.egress.target import Target
from stream.errors import InputError
from stream.frames import Frame
from stream.limits import MAX_SIDE, PUBLISH_SILENCE
from stream.mailbox import Mailbox, MailboxClosedError
from stream.memory import shared_memory
from stream.parent import end_with_parent
from stream.session import Session

MEMORY = MAX_SIDE * MAX_SIDE * 3 // 2
"""The largest picture's bytes. Pages that are never written cost nothing."""

MAX_LINE = 4096


class CameraCarrier:
    """target: a device, which knows no sound."""

    has_sound = False
    sound_dropped = 0

    def __init__(self, target: Target, session: Session) -> None:
        self.sent = 0
        self._target = target
        self._session = session
        self._frames: Mailbox[Frame] | None = None
        self._dropped_before = 0

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self._frames.dropped if self._frames else 0)

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        descriptor = shared_memory("segstream-picture", MEMORY)
        try:
            memory = mmap.mmap(descriptor, MEMORY)
            child = await Child.start(
                "stream.egress.virtual_camera",
                self._target.device,
                str(descriptor),
                max_line=MAX_LINE,
                descriptors=(descriptor,),
            )
        finally:
            os.close(descriptor)
        self._frames = frames = self._session.watch()
        try:
            return await self._write(child, memory, frames, taken)
        finally:
            self._session.unwatch(frames)
            self._dropped_before, self._frames = self.dropped, None
            await child.kill()

    async def _write(
        self, child: Child, memory: mmap.mmap, frames: Mailbox[Frame], taken: Callable[[], None]
    ) -> tuple[Failure, str]:
        while True:
            try:
                frame = await frames.get()
            except MailboxClosedError:
                return Failure.CLOSED, "the stream has ended"
            size = await asyncio.to_thread(copy, frame.picture, memory)
            child.write(json.dumps(size).encode() + b"\n")
            try:
                async with asyncio.timeout(PUBLISH_SILENCE):
                    answer = json.loads(await child.line())
            except TimeoutError:
                return Failure.SILENT, ""
            except ValueError as error:
                raise ChildDied from error
            if answer != "ok":
                return Failure.UNSUPPORTED, str(answer)[:200]
            self.sent += 1
            taken()


def copy(picture: av.VideoFrame, memory: mmap.mmap) -> tuple[int, int]:
    """A picture as the device takes it, without gaps between rows or planes and of even sides, to
    the beginning of the memory; returns its width and height."""
    width, height = picture.width // 2 * 2, picture.height // 2 * 2
    if picture.format.name != "yuv420p":
        picture = picture.reformat(format="yuv420p")
    offset = 0
    for plane, halved in zip(Planes.of(picture), (1, 2, 2), strict=True):
        target = np.ndarray((height // halved, width // halved), np.uint8, memory, offset)
        np.copyto(target, plane[: target.shape[0], : target.shape[1]])
        offset += target.size
    return width, height


def serve(device: str, memory: mmap.mmap, lines: Iterator[bytes]) -> Iterator[str]:
    """Write each picture whose size comes as a line; yields what is answered, "ok" or what is
    wrong, after which it ends."""
    descriptor, size = -1, (0, 0)
    try:
        for line in lines:
            width, height = json.loads(line)
            if (width, height) != size:
                if descriptor >= 0:  # a format is kept while anybody has the device open
                    os.close(descriptor)
                    descriptor = -1
                descriptor, size = v4l2.open_output(device), (width, height)
                v4l2.set_format(descriptor, width, height)
            with memoryview(memory) as picture:
                v4l2.write(descriptor, picture[: v4l2.image_size(width, height)])
            yield "ok"
    except InputError as error:
        yield str(error)
    except OSError as error:
        yield f"{device}: {(error.strerror or 'it failed').lower()}"
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def main() -> None:
    device, descriptor = sys.argv[1], int(sys.argv[2])
    memory = mmap.mmap(descriptor, MEMORY)
    end_with_parent()
    print("ready", flush=True)
    with contextlib.suppress(BrokenPipeError):
        for answer in serve(device, memory, iter(sys.stdin.buffer.readline, b"")):
            print(json.dumps(answer), flush=True)
    os._exit(0)  # closing could block in the driver


if __name__ == "__main__":
    main()

"""Records a session's composited pictures into files that a crash leaves readable.

MP4 in fragments (ISO/IEC 14496-12, 8.8): each begins with a key frame and is complete in itself,
so a file that ends anywhere plays up to its last whole fragment.
"""

import asyncio
import contextlib
import errno
import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import av
from av.video.frame import PictureType

from stream import media
from stream.compose.planes import Planes
from stream.errors import MediaError
from stream.frames import Frame
from stream.limits import (
    RECORD_BYTES,
    RECORD_FRAGMENT,
    RECORD_FREE,
    RECORD_RETRY,
    RECORD_SECONDS,
)
from stream.mailbox import MailboxClosedError
from stream.session import Session

log = logging.getLogger(__name__)

OPTIONS = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}


class FragmentedFile:
    """One MP4 file that grows by fragments of RECORD_FRAGMENT seconds. Raises MediaError.

    seconds: between its first and last picture. bytes: written so far.
    """

    def __init__(self, path: Path, first: Frame) -> None:
        self.path = path
        self.size = (first.width, first.height)
        self._start, self._time_base = first.pts, first.time_base
        self._last = -1
        self._key = 0
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_room(path.parent)
            self._container = av.open(media.url(path), "w", format="mp4", container_options=OPTIONS)
            self._stream = self._container.add_stream("libx264", rate=30)
        context = self._stream.codec_context
        context.width, context.height = (side + side % 2 for side in self.size)
        context.pix_fmt = "yuv420p"
        context.time_base = self._time_base
        context.gop_size = 10_000  # key frames are asked for, by time
        context.max_b_frames = 0
        source = first.picture
        context.color_range, context.colorspace = source.color_range, source.colorspace
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        context.options = {"preset": "superfast", "crf": "23"}
        self._container.metadata["creation_time"] = datetime.now(UTC).isoformat(timespec="seconds")

    @property
    def seconds(self) -> float:
        return float(max(self._last, 0) * self._time_base)

    @property
    def bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def write(self, frame: Frame) -> None:
        """Append a picture of the file's size; one that is not later than the last is left out."""
        pts = frame.pts - self._start
        if pts <= self._last:
            return
        width, height = (side + side % 2 for side in self.size)
        picture = frame.picture.reformat(width, height, "yuv420p")
        if picture is frame.picture:  # others encode it too: its times and type are not ours
            picture = _twin(picture)
        is_key = self._last < 0 or (pts - self._key) * self._time_base >= RECORD_FRAGMENT
        if is_key:
            self._key = pts
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        picture.pts, picture.time_base = pts, self._time_base
        with _writing(self.path):
            self._container.mux(self._stream.encode(picture))
        self._last = pts

    def close(self) -> None:
        with _writing(self.path):
            try:
                if self._last >= 0:
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()


class Recording:
    """Records until closed, one file after the other in `folder`; the oldest make room.

    A full disk, or one that fails, stops it for RECORD_RETRY seconds, and the state says so.
    """

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self._folder = folder
        self._frames = session.watch()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._file: FragmentedFile | None = None
        self._written = 0
        self._files = 0
        self._error = ""
        self._retry_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Finish the file."""
        self._session.unwatch(self._frames)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(MediaError):
            await loop.run_in_executor(self._thread, self._close_file)
        self._thread.shutdown(wait=False)

    def state(self) -> dict[str, object]:
        file = self._file
        return {
            "state": "stopped" if self._error else "recording" if file else "waiting",
            "reason": self._error,
            "file": file.path.name if file else None,
            "seconds": round(file.seconds, 1) if file else 0.0,
            "pictures": self._written,
            "dropped": self._frames.dropped,
            "files": self._files,
        }

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await self._frames.get()
            except MailboxClosedError:
                return
            if time.monotonic() < self._retry_at:
                continue
            try:
                await loop.run_in_executor(self._thread, self._write, frame)
            except MediaError as error:
                self._fail(str(error))
            except Exception:
                log.exception("recording into %s failed", self._folder)
                self._fail("the encoder failed; the server's log says why")

    def _fail(self, why: str) -> None:
        if not self._error:
            log.error("recording stopped: %s", why)
        self._error = why
        self._retry_at = time.monotonic() + RECORD_RETRY
        self._file = None  # closing it would only fail again; what is written stays readable

    def _write(self, frame: Frame) -> None:
        file = self._file
        if file is not None and (
            file.size != (frame.width, frame.height) or file.seconds >= RECORD_SECONDS
        ):
            self._close_file()
        if self._file is None:
            make_room(self._folder, RECORD_BYTES)
            self._file = FragmentedFile(_free_name(self._folder), frame)
            self._files += 1
        self._file.write(frame)
        self._written += 1
        self._error = ""

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def make_room(folder: Path, limit: int) -> None:
    """Remove the oldest recordings until those in the folder take at most `limit` bytes."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.mp4"))  # their names are their times
        sizes = [file.stat().st_size for file in files]
        total = sum(sizes)
        for file, size in zip(files, sizes, strict=True):
            if total <= limit:
                return
            file.unlink()
            total -= size


def _free_name(folder: Path) -> Path:
    stem = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3] + "Z"
    return folder / f"{stem}.mp4"


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < RECORD_FREE:
        raise MediaError(
            f"cannot record into {folder}: the disk is full ({free >> 20} MiB free, "
            f"{RECORD_FREE >> 20} are kept free)"
        )


def _twin(picture: av.VideoFrame) -> av.VideoFrame:
    copy = av.VideoFrame(picture.width, picture.height, picture.format.name)
    Planes.of(picture).copy_to(Planes.of(copy))
    return copy


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else media.reason(error)
        raise MediaError(f"cannot record into {path}: {why}") from error

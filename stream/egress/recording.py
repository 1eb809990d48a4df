"""Records a session's composited pictures and its sound into files that a crash leaves readable.

MP4 in fragments (ISO/IEC 14496-12, 8.8): each begins with a key frame and is complete in itself,
so a file that ends anywhere plays up to its last whole fragment.
"""

import asyncio
import contextlib
import errno
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.video.frame import PictureType

from stream import media
from stream.compose.planes import Planes
from stream.egress.broadcast import Timeline
from stream.egress.encoder import RATE
from stream.egress.sound_clock import SoundClock
from stream.egress.sound_track import NO_INTERLEAVING, SoundTrack
from stream.egress.writer_messages import SoundFormat
from stream.errors import MediaError
from stream.frames import Frame
from stream.limits import (
    RECORD_BYTES,
    RECORD_FRAGMENT,
    RECORD_FREE,
    RECORD_LATE,
    RECORD_REMEMBERED,
    RECORD_RETRY,
    RECORD_SECONDS,
    RECORD_SOUND,
    RECORD_SOUND_WAIT,
    SOUND_SILENCE,
)
from stream.mailbox import MailboxClosedError
from stream.session import Session

log = logging.getLogger(__name__)

OPTIONS = {
    "movflags": "+frag_keyframe+empty_moov+default_base_moof",
    "flush_packets": "1",
    **NO_INTERLEAVING,
}


class Timed(NamedTuple):
    """Samples as SoundTrack takes them. pts: of the first, in units of 1/90000 s, on the pictures'
    clock."""

    pts: int
    data: bytes


class FragmentedFile:
    """One MP4 file that grows by fragments of RECORD_FRAGMENT seconds. Raises MediaError.

    Times are in units of 1/90000 s, by one clock. start: of its first picture, or of sound before
    it. sound: of the track beside the pictures, None without. seconds: from its start to its last
    picture. bytes: written so far.
    """

    def __init__(self, path: Path, first: Frame, start: int, sound: SoundFormat | None) -> None:
        self.path = path
        self.size = (first.width, first.height)
        self.sound = sound
        self.start = start
        self._last = -1
        self._key = 0
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_room(path.parent)
            self._container = av.open(media.url(path), "w", format="mp4", container_options=OPTIONS)
            self._stream = self._container.add_stream("libx264", rate=30)
            self._track = None if sound is None else SoundTrack(self._container, sound)
            self._zero = start - (self._track.lead if self._track else 0)
        context = self._stream.codec_context
        context.width, context.height = (side + side % 2 for side in self.size)
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, RATE)
        context.gop_size = 10_000  # key frames are asked for, by time
        context.max_b_frames = 0
        source = first.picture
        context.color_range, context.colorspace = source.color_range, source.colorspace
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        context.options = {"preset": "superfast", "crf": "23"}
        self._container.metadata["creation_time"] = datetime.now(UTC).isoformat(timespec="seconds")

    @property
    def seconds(self) -> float:
        return max(self._last, 0) / RATE

    @property
    def bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def hear(self, sound: Timed) -> None:
        """Append samples of the file's format."""
        if self._track is not None:
            with _writing(self.path):
                self._container.mux(self._track.packets(sound.pts - self._zero, sound.data))

    def write(self, frame: Frame, pts: int) -> None:
        """Append a picture of the file's size, later than the last."""
        pts -= self._zero
        width, height = (side + side % 2 for side in self.size)
        picture = frame.picture.reformat(width, height, "yuv420p")
        if picture is frame.picture:  # others encode it too: its times and type are not ours
            picture = _twin(picture)
        is_key = self._last < 0 or pts - self._key >= RECORD_FRAGMENT * RATE
        if is_key:
            self._key = pts
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        picture.pts, picture.time_base = pts, Fraction(1, RATE)
        with _writing(self.path):
            self._container.mux(self._stream.encode(picture))
        self._last = pts

    def close(self) -> None:
        with _writing(self.path):
            try:
                if self._last >= 0:
                    self._container.mux(self._stream.encode(None))
                    if self._track is not None:
                        self._container.mux(self._track.flush())
            finally:
                self._container.close()


@dataclass(slots=True)
class Written:
    """The newest files of one recording, in their order; outlives it for those who fetch them.

    began, ended: seconds since 1970; None: it goes on. changed: is called in the recording's own
    thread when there is another file, and in the end.
    """

    paths: deque[Path] = field(default_factory=lambda: deque(maxlen=RECORD_REMEMBERED))
    began: float = field(default_factory=time.time)
    ended: float | None = None
    changed: Callable[["Written"], None] | None = None

    def add(self, path: Path) -> None:
        self.paths.append(path)
        self._tell()

    def end(self) -> None:
        self.ended = time.time()
        self._tell()

    def _tell(self) -> None:
        changed = self.changed  # another thread may take it away
        if changed is not None:
            changed(self)


class Recording:
    """Records until closed, one file after the other in `folder`; the oldest make room.

    all_of: the folder in which the files together may take RECORD_BYTES; None: `folder`.
    A full disk, or one that fails, stops it for RECORD_RETRY seconds, and the state says so. When
    sound begins, it goes on in another file, which has some. written: its files.
    """

    def __init__(self, session: Session, folder: Path, all_of: Path | None = None) -> None:
        self._session = session
        self._folder = folder
        self._all_of = all_of or folder
        self.written = Written()
        self._frames = session.watch()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._file: FragmentedFile | None = None
        self._former: FragmentedFile | None = None
        self._pictures = 0
        self._files = 0
        self._past = 0.0  # seconds of the files before the present one
        self._error = ""
        self._retry_at = 0.0
        self._began = float("inf")  # when the first picture came
        self._timeline = Timeline()
        self._clock = SoundClock()
        self._sounds: deque[Timed] = deque(maxlen=RECORD_SOUND)
        self._sound: SoundFormat | None = None
        self._heard = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._session.listen(self._hear)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Finish the file."""
        self._session.unlisten(self._hear)
        self._session.unwatch(self._frames)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(MediaError):
            await loop.run_in_executor(self._thread, self._close_file)
        await loop.run_in_executor(self._thread, self.written.end)
        self._thread.shutdown(wait=False)

    def state(self) -> dict[str, object]:
        file = self._file
        return {
            "state": "stopped" if self._error else "recording" if file else "waiting",
            "reason": self._error,
            "file": file.path.name if file else None,
            "seconds": round(file.seconds, 1) if file else 0.0,
            "total_seconds": round(self._past + (file.seconds if file else 0.0), 1),
            "sound": file is not None and file.sound is not None,
            "pictures": self._pictures,
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
            self._began = min(self._began, time.monotonic())
            pts = self._timeline.place(frame)
            self._clock.picture(pts, frame.received)
            sounds = self._sounds_until(pts)
            if time.monotonic() < self._retry_at or self._waits_for_sound():
                continue
            try:
                await loop.run_in_executor(
                    self._thread, self._write, frame, pts, sounds, self._format()
                )
            except MediaError as error:
                self._fail(str(error))
            except Exception:
                log.exception("recording into %s failed", self._folder)
                self._fail("the encoder failed; the server's log says why")

    def _hear(self, sound: av.AudioFrame, arrived: float) -> None:
        self._heard = time.monotonic()
        format = SoundFormat(sound.sample_rate, sound.layout.nb_channels)
        if format != self._sound:
            self._sound = format
            self._sounds.clear()
        assert sound.pts is not None
        assert sound.time_base is not None
        pts = self._clock.sound(float(sound.pts * sound.time_base), arrived)
        if pts is not None:
            self._sounds.append(Timed(pts, sound.to_ndarray().tobytes()))

    def _sounds_until(self, pts: int) -> list[Timed]:
        """What is to be written before the picture of this time."""
        found = []
        while self._sounds and self._sounds[0].pts <= pts:
            found.append(self._sounds.popleft())
        return found

    def _format(self) -> SoundFormat | None:
        """Of the sound that a file is to have: it keeps what it has while none comes."""
        if time.monotonic() - self._heard < SOUND_SILENCE:
            return self._sound
        return self._file.sound if self._file else None

    def _waits_for_sound(self) -> bool:
        return (
            self._sound is None
            and self._session.has_sound
            and time.monotonic() - self._began < RECORD_SOUND_WAIT
        )

    def _fail(self, why: str) -> None:
        if not self._error:
            log.error("recording stopped: %s", why)
        self._error = why
        self._retry_at = time.monotonic() + RECORD_RETRY
        self._former = None
        self._leave_file()  # closing it would only fail again; what is written stays readable

    def _write(
        self, frame: Frame, pts: int, sounds: Sequence[Timed], format: SoundFormat | None
    ) -> None:
        file, late = self._file, round(RECORD_LATE * RATE)
        if file is not None and file.sound == format:
            self._write_sounds(sounds, file)
            sounds = ()
        if file is not None and (
            file.size != (frame.width, frame.height)
            or file.sound != format
            or file.seconds >= RECORD_SECONDS
        ):
            self._close_former()
            if file.sound == format:
                self._former = self._leave_file()
            else:
                self._close_file()
        if self._file is None:
            make_room(self._all_of, RECORD_BYTES)
            # What was not written yet is the first sound of all.
            start = max(min([pts, *(sound.pts for sound in sounds)]), pts - late)
            self._file = FragmentedFile(_free_name(self._folder), frame, start, format)
            self._files += 1
            self.written.add(self._file.path)
            self._write_sounds(sounds, self._file)
        if self._former is not None and pts - self._file.start > late:
            self._close_former()
        self._file.write(frame, pts)
        self._pictures += 1
        self._error = ""

    def _write_sounds(self, sounds: Sequence[Timed], file: FragmentedFile) -> None:
        """What comes late belongs to the file before."""
        for sound in sounds:
            former = self._former if sound.pts < file.start else None
            (former or file).hear(sound)

    def _close_file(self) -> None:
        self._close_former()
        if (file := self._leave_file()) is not None:
            file.close()

    def _close_former(self) -> None:
        former, self._former = self._former, None
        if former is not None:
            former.close()

    def _leave_file(self) -> FragmentedFile | None:
        file, self._file = self._file, None
        self._past += file.seconds if file else 0.0
        return file


def make_room(folder: Path, limit: int) -> None:
    """Remove the oldest recordings until those in the folder take at most `limit` bytes."""
    with contextlib.suppress(OSError):
        # Their names are their times.
        files = sorted(folder.rglob("*.mp4"), key=lambda file: file.name)
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

"""What a camera's source is doing and what to do next, without a network or a clock of its own.

    connecting ──picture──► live ──silence──► frozen ──► waiting ──► connecting …
        │                     └──────end───────────────────▲
        ├──failure that passes by itself───────────────────┘
        └──failure that a person must mend──► failed ──(retried slowly)──► connecting …

A file that is to be played once goes to ended. Times are seconds of time.monotonic().
"""

import errno
import random
from dataclasses import dataclass, field
from enum import StrEnum

import av

from stream import srt
from stream.limits import (
    FIRST_PACKET,
    FIRST_PICTURE,
    FROZEN_AFTER,
    LONGEST_WAIT,
    OPEN_TIMEOUT,
    PERMANENT_WAIT,
    SHORTEST_WAIT,
    SOURCE_SILENCE,
    STEADY_AFTER,
)


class Phase(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    FROZEN = "frozen"
    WAITING = "waiting"
    FAILED = "failed"
    ENDED = "ended"


class Failure(StrEnum):
    """Why a source gives no pictures; the value is what programs test for."""

    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    TRANSPORT = "transport"
    NO_VIDEO = "no_video"
    TOO_LARGE = "too_large"
    SILENT = "silent"
    CLOSED = "closed"
    CRASHED = "crashed"


MESSAGES = {
    Failure.CREDENTIALS: "user or password is wrong, or missing",
    Failure.NOT_FOUND: "there is no such stream; is the path right?",
    Failure.UNREACHABLE: "it cannot be reached",
    Failure.TRANSPORT: "it does not send over this transport",
    Failure.NO_VIDEO: "what it sends is no video that can be decoded",
    Failure.TOO_LARGE: "its pictures are too large",
    Failure.SILENT: "it sends no pictures any more",
    Failure.CLOSED: "it closed the connection",
    Failure.CRASHED: "the process that reads it died",
}

PERMANENT = frozenset({Failure.CREDENTIALS, Failure.NO_VIDEO, Failure.TOO_LARGE})
"""What a person must mend. Cameras lock accounts after a few wrong passwords."""


SRT_REASONS = {
    srt.Reason.REFUSED: Failure.NOT_FOUND,  # mostly for its stream id
    srt.Reason.LEFT: Failure.CLOSED,
}


def classify(error: BaseException) -> Failure:
    """Why opening or reading failed. FFmpeg tells RTSP's status codes as HTTP's."""
    match error:
        case srt.SrtError():
            return SRT_REASONS.get(error.reason) or Failure(error.reason)
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return Failure.CREDENTIALS
        case av.error.HTTPNotFoundError() | FileNotFoundError():
            return Failure.NOT_FOUND
        case av.error.ExitError() | TimeoutError():
            return Failure.SILENT
        case av.error.EOFError():
            return Failure.CLOSED
        case (
            av.error.InvalidDataError()
            | av.error.DecoderNotFoundError()
            | av.error.DemuxerNotFoundError()
            | av.error.PatchWelcomeError()
        ):
            return Failure.NO_VIDEO
        case OSError(errno=errno.EPROTONOSUPPORT):  # RTSP 461, Unsupported Transport
            return Failure.TRANSPORT
    return Failure.UNREACHABLE


def wait_before(attempt: int, draw: float) -> float:
    """Seconds until try number `attempt` (from 0): doubled each time, and never two cameras of
    one recorder at once. draw: random, 0 to 1."""
    longest = min(LONGEST_WAIT, SHORTEST_WAIT * 2.0 ** min(attempt, 20))
    return longest * (0.5 + 0.5 * draw)


@dataclass(slots=True)
class Source:
    """The state of one source. Every method is told the time.

    transports: to be tried, the first first. once: a clean end is the end (a file's).
    reconnects, crashes, pictures, dropped: since the start. failure: the last, None while live.
    until: when it is tried again.
    """

    transports: tuple[str, ...] = ("tcp",)
    once: bool = False
    phase: Phase = Phase.CONNECTING
    failure: Failure | None = None
    detail: str = ""
    until: float | None = None
    codec: str = ""
    size: tuple[int, int] = (0, 0)
    reconnects: int = 0
    codec_changes: int = 0
    pictures: int = 0
    last_picture: float | None = None
    _attempt: int = 0
    _transport: int = 0
    _deadline: float = 0.0
    _live_since: float | None = None
    _random: random.Random = field(default_factory=random.Random)

    @property
    def transport(self) -> str:
        return self.transports[self._transport % len(self.transports)]

    @property
    def deadline(self) -> float:
        """When it counts as silent if nothing more is heard."""
        return self._deadline

    def connect(self, now: float) -> None:
        """A connection is being opened."""
        self.phase, self.until = Phase.CONNECTING, None
        self._deadline = now + OPEN_TIMEOUT
        self._live_since = None

    def opened(self, now: float, codec: str) -> None:
        """The source has told what it will send."""
        self.codec_changes += self.codec not in ("", codec)
        self.codec = codec
        self._deadline = now + FIRST_PACKET

    def packet(self, now: float) -> None:
        """The first data came; a picture may have to wait for a key frame."""
        self._deadline = now + FIRST_PICTURE

    def picture(self, now: float, size: tuple[int, int]) -> None:
        if self._live_since is None:
            self._live_since = now
        elif now - self._live_since > STEADY_AFTER:
            self._attempt = 0
        self.phase, self.failure, self.detail = Phase.LIVE, None, ""
        self.size = size
        self.pictures += 1
        self.last_picture = now
        self._deadline = now + SOURCE_SILENCE

    def look(self, now: float) -> Phase:
        """The phase as a person should see it now."""
        if (
            self.phase is Phase.LIVE
            and self.last_picture is not None
            and now - self.last_picture > FROZEN_AFTER
        ):
            return Phase.FROZEN
        return self.phase

    def lost(self, now: float, failure: Failure, detail: str = "") -> float:
        """The connection failed or ended; returns how long to wait before the next.

        Infinity: there is none.
        """
        was_live = self._live_since is not None
        if failure is Failure.CLOSED and self.once and was_live:
            self.phase, self.failure, self.until = Phase.ENDED, None, None
            return float("inf")
        if failure is Failure.NO_VIDEO and was_live:  # a packet that the end has cut in two
            failure = Failure.CLOSED
        self.failure, self.detail = failure, detail
        self.reconnects += 1
        if not was_live and self._try_other_transport(failure):
            wait = 0.0
        else:
            wait = wait_before(self._attempt, self._random.random())
            self._attempt += 1
        self.phase = Phase.WAITING
        # A camera that starts up may send nonsense first; one that never was live is none.
        if failure in PERMANENT and not (failure is Failure.NO_VIDEO and self.pictures):
            self.phase = Phase.FAILED
            wait = PERMANENT_WAIT * (0.5 + 0.5 * self._random.random())
        self.until = now + wait
        self._live_since = None
        return wait

    def _try_other_transport(self, failure: Failure) -> bool:
        """True when another transport can be tried at once: each gets one turn without a wait."""
        if failure not in (Failure.TRANSPORT, Failure.SILENT) or len(self.transports) < 2:
            return False
        self._transport += 1
        return self._transport % len(self.transports) != 0

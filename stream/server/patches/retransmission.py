"""aiortc 1.16 asks for missing packets only when another one goes missing, and then for all: if a
request is lost, or what it asked for, nothing is asked again while the rest comes well; and where
packets come out of order, it asks for those that are on their way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc.rtp import RTP_HISTORY_SIZE, RtpPacket
from aiortc.utils import uint16_add, uint16_gt

from stream.ingest.jitter_buffer import KEYFRAME_DEADLINE

UNKNOWN_ROUND_TRIP = 0.030
"""Seconds: less than most networks' way there and back, so three times within the deadline."""

SHORTEST = 0.005
"""Seconds between two requests for one packet, however near the sender is."""

LONGEST_PATIENCE = 0.020
"""Seconds that a packet which is not there is waited for, where they come out of order, before it
is asked for: as many as libwebrtc allows, and a retransmission still comes within the deadline."""

REMEMBERED = 2.0
"""Seconds that packets which came out of order count."""

MOST_REQUESTS = 10
"""For one packet, as libwebrtc has it."""

SMOOTHING, LATE, MUCH = 0.05, 4 / 3, 0.3
"""Much is lost where so great a share of what was asked for takes longer than LATE round trips, or
never comes: a sixth of all packets, each way. There, asking early and often is worth what comes
twice."""

OFTEN = 1 / 3
"""Of a round trip, between two requests for what was lost again, or where much is lost. Over 40 ms
there and back at 25 % loss, 0.96 of the pictures come, with OFTEN = 1/2 0.90, and 0.79 instead of
0.42 where packets take up to 20 ms longer, each way (tests/test_loss.py)."""


@dataclass(slots=True)
class _Missing:
    """since: when a later packet came. due: when it is to be asked for. first: when that was
    done at first. times: how often."""

    since: float
    due: float
    first: float = 0.0
    times: int = 0


class Nacks:
    """Which packets to ask for, and when (RFC 4588 section 6.3): at once, or after a moment where
    packets come out of order; again after a round trip, when what was asked for had time to come,
    then more often; and no more once nothing waits for it. Where much is lost, at once and often.

    Pure: times in seconds, of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        self._missing: dict[int, _Missing] = {}
        self._out_of_order: deque[tuple[float, float]] = deque(maxlen=RTP_HISTORY_SIZE)
        """When such packets came, and how many seconds after later ones."""
        self._lost_again = 0.0

    def came(self, number: int, now: float, round_trip: float) -> None:
        """Take note of a packet. number: 16 bits. round_trip: to the sender and back."""
        if self._newest is None:
            self._newest = number
        elif uint16_gt(number, self._newest):
            lost, oldest = uint16_add(self._newest, 1), uint16_add(number, -RTP_HISTORY_SIZE)
            lost = oldest if uint16_gt(oldest, lost) else lost
            due = now + self._patience(now)
            while lost != number:
                self._missing[lost] = _Missing(now, due)
                lost = uint16_add(lost, 1)
            self._newest = number
        elif (missing := self._missing.pop(number, None)) is not None:
            if not missing.times or now - missing.first < round_trip / 2:
                # No retransmission comes so soon.
                self._out_of_order.append((now, now - missing.since))
            else:
                self._learn(now - missing.first > round_trip * LATE)

    def ask(self, now: float, round_trip: float) -> Sequence[int]:
        """The packets to ask for now, oldest first."""
        assert self._newest is not None
        remembered = uint16_add(self._newest, -RTP_HISTORY_SIZE)
        asked = []
        for number, missing in list(self._missing.items()):
            if (
                uint16_gt(remembered, number)
                or now - missing.since > KEYFRAME_DEADLINE
                or missing.times == MOST_REQUESTS
            ):
                del self._missing[number]
                self._learn(was_lost=True)
            elif now >= missing.due:
                often = missing.times > 0 or self._much_is_lost
                missing.due = now + max(round_trip * (OFTEN if often else 1.0), SHORTEST)
                missing.first = missing.first if missing.times else now
                missing.times += 1
                asked.append(number)
        return asked

    @property
    def next(self) -> float | None:
        """When to `ask` the next time; None: nothing is missing."""
        return min((missing.due for missing in self._missing.values()), default=None)

    def _learn(self, was_lost: bool) -> None:
        """was_lost: whether what was asked for first, or the request, was lost."""
        self._lost_again += SMOOTHING * (was_lost - self._lost_again)

    @property
    def _much_is_lost(self) -> bool:
        return self._lost_again > MUCH

    def _patience(self, now: float) -> float:
        if self._much_is_lost:
            return 0.0
        late = (late for came, late in self._out_of_order if now - came < REMEMBERED)
        return min(max(late, default=0.0), LONGEST_PATIENCE)


class Requests:
    """Looks like aiortc's NackGenerator: when `add` says so, what is `missing` is asked for. While
    no packets come, it asks by itself."""

    def __init__(self, receiver: Any, round_trip: Callable[[], float | None]) -> None:
        """receiver: an RTCRtpReceiver. round_trip: None: not known."""
        self.missing: Sequence[int] = ()
        self._receiver = receiver
        self._round_trip = round_trip
        self._nacks = Nacks()
        self._stream = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, packet: RtpPacket) -> bool:
        self._stream = packet.ssrc
        self._nacks.came(packet.sequence_number, time.monotonic(), self._seconds)
        self._ask()
        return bool(self.missing)

    @property
    def _seconds(self) -> float:
        known = self._round_trip()
        return UNKNOWN_ROUND_TRIP if known is None else known

    def _ask(self) -> None:
        now = time.monotonic()
        self.missing = self._nacks.ask(now, self._seconds)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._nacks.next) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(due - now, SHORTEST), self._ask_by_itself)

    def _ask_by_itself(self) -> None:
        """Ends by itself, as nothing stays missing for long."""
        self._ask()
        if self.missing and (self._sending is None or self._sending.done()):
            sends = self._receiver._send_rtcp_nack(self._stream, list(self.missing))
            self._sending = asyncio.create_task(sends)

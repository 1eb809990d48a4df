"""RTP packets in, whole pictures out, in order.

A picture leaves with the packet that completes it, which its marker bit tells (RFC 3550 section
5.1). Packets that are missing are waited for `DEADLINE`, since a retransmission may bring them;
then everything up to the next keyframe is given up, and the keyframe is asked for: pictures that
build on a lost one would be decoded to rubbish.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.limits import MAX_WAITING_PACKETS

DEADLINE = 0.150
"""Seconds a missing packet is waited for: time for a retransmission over 100 ms of network."""

KEYFRAME_DEADLINE = 0.6
"""The same for a keyframe that has begun to come and nothing can be shown without: to wait for its
last packets is sooner than to ask for another."""

ASK_AGAIN = 0.3
"""Seconds between two requests for a keyframe: the request or its answer may be lost too."""

MAX_LATE, MAX_AHEAD = 1000, 4000
"""Packets: one that is so far off is no straggler, the sender has begun afresh. At 8 Mbit/s they
are 1.4 and 5 s."""


@dataclass(frozen=True, slots=True)
class Packet:
    """sequence: 16 bits. timestamp: 32 bits, 90 kHz. data: depayloaded, may be empty (padding).

    begins: a picture surely begins here. keyframe: here one sees that the picture is a keyframe.
    """

    sequence: int
    timestamp: int
    marker: bool
    data: bytes
    begins: bool = False
    keyframe: bool = False

    @property
    def begins_keyframe(self) -> bool:
        return self.begins and self.keyframe


@dataclass(frozen=True, slots=True)
class Picture:
    """timestamp: 32 bits, 90 kHz. data: one encoded picture."""

    timestamp: int
    data: bytes


@dataclass(slots=True)
class Counters:
    """late: packets that came when their picture had been given up or had left, or twice.
    skipped: times that a gap was given up. dropped: packets given up because of it.
    asked: keyframes asked for. restarts: the sender's sequence numbers jumped."""

    late: int = 0
    skipped: int = 0
    dropped: int = 0
    asked: int = 0
    restarts: int = 0


@dataclass(slots=True)
class JitterBuffer:
    """`add` every packet; nothing else needs to be called. Holds MAX_WAITING_PACKETS at most."""

    counters: Counters = field(default_factory=Counters)
    _packets: dict[int, Packet] = field(default_factory=dict)
    _arrivals: dict[int, float] = field(default_factory=dict)
    _next: int | None = None
    """The packet to go on with. Sequence numbers are counted on beyond 16 bits in here."""
    _highest: int = 0
    _at_beginning: bool = False
    """Whether a picture begins at `_next`, as nothing before it is missing."""
    _is_fresh: bool = True
    """Nothing has been taken out yet: packets before the first one may still come."""
    _seeks_keyframe: bool = True
    _asked: float | None = None
    _gap: tuple[int, float] | None = None
    """The first packet that is missing, and since when."""

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, packet: Packet, now: float) -> tuple[Sequence[Picture], bool]:
        """Pictures that can be decoded now, oldest first, and whether to ask for a keyframe.

        now: seconds, of any clock that only goes forward.
        """
        pictures: list[Picture] = []
        if self._store(packet, now):
            self._release(pictures)
            while self._gives_up(now):
                self._release(pictures)
        return pictures, self._asks(now)

    def _store(self, packet: Packet, now: float) -> bool:
        """False when the packet is of no use."""
        if self._next is None:
            self._next = self._highest = packet.sequence
            self._asked = now  # the sender begins with a keyframe by itself
        number = self._highest + _signed16(packet.sequence - self._highest)
        if not self._next - MAX_LATE <= number < self._next + MAX_AHEAD:
            self.counters.restarts += 1
            self._lose(self._highest + 1)
            self._next = self._highest = number
        if self._is_fresh and number < self._next:
            self._next = number
        if number < self._next or number in self._packets:
            self.counters.late += 1
            return False
        self._packets[number] = packet
        self._arrivals[number] = now
        self._highest = max(self._highest, number)
        return True

    def _release(self, pictures: list[Picture]) -> None:
        """Take out all pictures that are complete, and keep those that can be decoded."""
        while (end := self._end_of_picture()) is not None:
            assert self._next is not None
            packets = [self._packets.pop(number) for number in range(self._next, end)]
            for number in range(self._next, end):
                del self._arrivals[number]
            is_whole = self._at_beginning or packets[0].begins
            self._next, self._at_beginning, self._is_fresh = end, True, False
            data = b"".join(packet.data for packet in packets)
            if not data:
                continue  # padding, which some senders measure the network with
            if is_whole and any(packet.keyframe for packet in packets):
                self._seeks_keyframe = False
            if self._seeks_keyframe:
                self.counters.dropped += len(packets)
            else:
                pictures.append(Picture(packets[0].timestamp, data))

    def _end_of_picture(self) -> int | None:
        """The number after the last packet of the picture at `_next`; None: not complete."""
        if self._seeks_keyframe:
            self._jump_to_keyframe()
        assert self._next is not None
        first = self._packets.get(self._next)
        if self._is_fresh and first is not None and not first.begins:
            return None
        if first is not None and not first.data:
            return self._next + 1
        number = self._next
        while first is not None and (packet := self._packets.get(number)) is not None:
            if packet.timestamp != first.timestamp:
                return number
            number += 1
            if packet.marker:
                return number
        return None

    def _jump_to_keyframe(self) -> None:
        begins = [number for number, packet in self._packets.items() if packet.begins_keyframe]
        if begins and min(begins) != self._next:
            self._lose(min(begins))

    def _gives_up(self, now: float) -> bool:
        """Go on behind the first gap, if that was waited for long enough."""
        missing = self._first_missing()
        if len(self._packets) < MAX_WAITING_PACKETS:
            if missing > self._highest:
                return False
            if self._gap is None or self._gap[0] != missing:
                beyond = (at for number, at in self._arrivals.items() if number > missing)
                self._gap = missing, min(beyond)
            if now - self._gap[1] <= self._deadline:
                return False
        self.counters.skipped += 1
        self._lose(min((n for n in self._packets if n > missing), default=self._highest + 1))
        return True

    def _first_missing(self) -> int:
        assert self._next is not None
        missing = self._next
        if self._is_fresh and missing in self._packets and not self._packets[missing].begins:
            return missing - 1
        while missing in self._packets:
            missing += 1
        return missing

    @property
    def _deadline(self) -> float:
        first = self._packets.get(self._next) if self._next is not None else None
        is_keyframe = self._seeks_keyframe and first is not None and first.begins_keyframe
        return KEYFRAME_DEADLINE if is_keyframe else DEADLINE

    def _lose(self, until: int) -> None:
        """Give up everything before a packet, and seek a keyframe from there on."""
        lost = [number for number in self._packets if number < until]
        for number in lost:
            del self._packets[number], self._arrivals[number]
        self.counters.dropped += len(lost)
        self._next, self._at_beginning, self._gap = until, False, None
        self._is_fresh = False
        if not self._seeks_keyframe:
            self._seeks_keyframe, self._asked = True, None

    def _asks(self, now: float) -> bool:
        if not self._seeks_keyframe or (self._asked is not None and now - self._asked < ASK_AGAIN):
            return False
        self._asked = now
        self.counters.asked += 1
        return True


def _signed16(difference: int) -> int:
    return (difference + 0x8000) % 0x10000 - 0x8000

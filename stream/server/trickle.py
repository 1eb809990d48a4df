"""ICE candidates that come after the offer: SDP fragments (RFC 8840), as PATCH carries them."""

from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.sdp import candidate_from_sdp

from stream.errors import InputError
from stream.limits import MAX_CANDIDATES, MAX_SDP_LINES


@dataclass(frozen=True, slots=True)
class Fragment:
    """ufrag, pwd: of the ICE session that the candidates belong to; None: not said.

    candidates: those that can be used, each with its `sdpMid`. That there will be no more is not
    kept: aioice would then give up before it has met peer-reflexive ones.
    """

    ufrag: str | None
    pwd: str | None
    candidates: tuple[RTCIceCandidate, ...]


def read(text: str) -> Fragment:
    """Raises InputError. Names ending in .local are left out, see stream.server.offer."""
    lines = text.splitlines()
    if len(lines) > MAX_SDP_LINES:
        raise InputError(f"fragment of {len(lines)} lines; at most {MAX_SDP_LINES} are read")
    attributes = [line[2:].strip().partition(":")[::2] for line in lines if line.startswith("a=")]
    first = dict(reversed(attributes))
    if not first.keys() & {"candidate", "ice-ufrag", "end-of-candidates"}:
        raise InputError("body is no SDP fragment; wanted a=ice-ufrag, a=mid and a=candidate lines")
    candidates = []
    mid = None
    for name, value in attributes:
        if name == "mid":
            mid = value
        elif name == "candidate" and ".local " not in value:
            candidate = _candidate(value, mid or first.get("mid", "0"))
            # RTCP has no component of its own: it shares that of RTP (RFC 5761).
            if candidate.component == 1:
                candidates.append(candidate)
    if len(candidates) > MAX_CANDIDATES:
        raise InputError(f"{len(candidates)} candidates; at most {MAX_CANDIDATES} are taken")
    return Fragment(first.get("ice-ufrag"), first.get("ice-pwd"), tuple(candidates))


def _candidate(text: str, mid: str) -> RTCIceCandidate:
    try:
        candidate = candidate_from_sdp(text)
    except Exception as error:
        raise InputError(f"candidate {text[:60]!r} cannot be read") from error
    candidate.sdpMid = mid
    return candidate

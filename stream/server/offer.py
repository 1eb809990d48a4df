"""Reading an SDP offer before aiortc does: what comes from outside is checked here, once."""

from dataclasses import dataclass

from aiortc.sdp import DIRECTIONS, MediaDescription, SessionDescription

from stream.errors import NoVideo, OfferError
from stream.limits import MAX_CANDIDATES, MAX_CODECS, MAX_SDP, MAX_SDP_LINES

KINDS = ("video", "audio", "application")


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. returns_audio: the peer sends sound and wants it back."""

    sdp: str
    returns_audio: bool


def read(sdp: str, *, watches: bool = False) -> Offer:
    """watches: who offers only wants pictures. Raises OfferError, NoVideo."""
    if len(sdp) > MAX_SDP:
        raise OfferError(f"offer of {len(sdp)} characters; at most {MAX_SDP} are read")
    lines = sdp.splitlines()
    if len(lines) > MAX_SDP_LINES:
        raise OfferError(f"offer of {len(lines)} lines; at most {MAX_SDP_LINES} are read")
    codecs = sum(line.startswith("a=rtpmap:") for line in lines)
    if codecs > MAX_CODECS:
        raise OfferError(f"offer of {codecs} codecs; at most {MAX_CODECS} are read")
    sdp = "".join(f"{line}\r\n" for line in _without_mdns(lines))
    try:
        description = SessionDescription.parse(sdp)
    except Exception as error:
        # aiortc 1.16 raises six kinds of exception here, AssertionError and StopIteration too.
        raise OfferError(f"offer is no SDP: {type(error).__name__} {error}"[:200]) from error
    directions = {section.kind: section.direction for section in description.media}
    if "video" not in directions:
        raise NoVideo("offer holds no video; add a video track")
    _check_sections(description.media)
    _check_bundle(description)
    wanted = ("recvonly", "sendrecv") if watches else ("sendrecv", "sendonly")
    if directions["video"] not in wanted:
        raise NoVideo(f"the offer's video is {directions['video']}; wanted {wanted[0]}")
    returns_audio = not watches and directions.get("audio") == "sendrecv"
    return Offer(sdp, returns_audio)


def _check_sections(media: list[MediaDescription]) -> None:
    kinds = [section.kind for section in media]
    if unknown := set(kinds) - set(KINDS):
        raise OfferError(f"offer holds {', '.join(unknown)[:60]}; wanted {', '.join(KINDS)} only")
    # aiortc would answer more, but nobody would read what they send.
    for kind in KINDS:
        if kinds.count(kind) > 1:
            raise OfferError(f"offer holds {kinds.count(kind)} {kind} sections; wanted one at most")
    if sum(len(section.ice_candidates) for section in media) > MAX_CANDIDATES:
        raise OfferError(f"offer holds more than {MAX_CANDIDATES} ICE candidates")
    for section in media:
        if section.kind != "application" and section.direction not in DIRECTIONS:
            raise OfferError(f"the {section.kind} section has no direction; wanted a=sendrecv")
        if section.dtls is None or not section.dtls.fingerprints:
            raise OfferError(f"the {section.kind} section lacks a=setup or a=fingerprint")


def _check_bundle(description: SessionDescription) -> None:
    """aiortc 1.16 cannot even close a connection whose bundle names what is not there."""
    names = [section.rtp.muxId for section in description.media]
    if len(set(names)) < len(names) or not all(names):
        raise OfferError("each section needs its own a=mid")
    for group in description.group:
        if group.semantic == "BUNDLE" and not set(group.items) <= set(names):
            raise OfferError(f"a=group:BUNDLE names more than the sections {', '.join(names)[:60]}")


def _without_mdns(lines: list[str]) -> list[str]:
    """Leave out candidates whose address a browser hides behind a name ending in .local.

    aioice 0.10 asks the local network for each, up to a second, and fails where multicast is not
    possible. Nothing is lost: the peer's own checks tell its address (peer-reflexive candidates).
    Then the offer's list is not the whole one, so its end is left out as well.
    """
    kept = [line for line in lines if not (line.startswith("a=candidate:") and ".local " in line)]
    if len(kept) == len(lines):
        return lines
    return [line for line in kept if not line.startswith("a=end-of-candidates")]

"""Reading an SDP offer before aiortc does: what comes from outside is checked here, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiortc.sdp import DIRECTIONS, MediaDescription, SessionDescription

from stream.errors import NoVideo, OfferError
from stream.limits import MAX_CANDIDATES, MAX_CODECS, MAX_SDP, MAX_SDP_LINES
from stream.server import codecs

KINDS = ("video", "audio", "application")


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. wants_video, wants_audio: to be sent some by us.

    ufrags: of its ICE sessions, of which there is one but for offers without a=group:BUNDLE.
    formats: lines that `sdp` has others for, see stream.server.codecs.
    """

    sdp: str
    wants_video: bool
    wants_audio: bool
    ufrags: frozenset[str] = frozenset()
    formats: Mapping[str, str] = field(default_factory=dict)


def read(sdp: str) -> Offer:
    """An offer of who sends pictures, and may want some back. Raises OfferError, NoVideo.

    Sound goes back only to those who send it too.
    """
    checked = _check(sdp)
    video, audio = checked.directions["video"], checked.directions.get("audio")
    if video not in ("sendrecv", "sendonly"):
        raise NoVideo(f"the offer's video is {video}; wanted sendrecv")
    return Offer(checked.sdp, video == "sendrecv", audio == "sendrecv", checked.ufrags)


def read_publisher(sdp: str) -> Offer:
    """An offer by WHIP (RFC 9725): nothing goes back. Raises OfferError, NoVideo."""
    _check_is_sdp(sdp)
    offer = read(sdp)
    codecs.check(offer.sdp)
    known, replaced = codecs.with_known_profile(_as_dtls_client(offer.sdp))
    return Offer(known, False, False, offer.ufrags, replaced)


def read_viewer(sdp: str) -> Offer:
    """An offer by WHEP: who wants pictures, and sound perhaps. Raises OfferError, NoVideo."""
    _check_is_sdp(sdp)
    checked = _check(sdp)
    video, audio = checked.directions["video"], checked.directions.get("audio")
    if video not in ("sendrecv", "recvonly"):
        raise NoVideo(f"the offer's video is {video}; wanted recvonly")
    codecs.check(checked.sdp)
    wants_audio = audio in ("sendrecv", "recvonly")
    return Offer(_as_dtls_client(checked.sdp), True, wants_audio, checked.ufrags)


def _check_is_sdp(text: str) -> None:
    if not text.startswith("v=0"):
        raise OfferError(f"body begins with {text[:20]!r}; wanted an SDP offer, which begins v=0")


def _as_dtls_client(sdp: str) -> str:
    """Let the peer begin with DTLS, as RFC 9725 section 4.4 has it, half a round trip sooner;
    GStreamer's webrtcbin needs it. aiortc would answer actpass by beginning itself."""
    return sdp.replace("a=setup:actpass\r\n", "a=setup:active\r\n")


@dataclass(frozen=True, slots=True)
class _Checked:
    """sdp: for aiortc. directions: of each kind of section that there is."""

    sdp: str
    directions: Mapping[str, str | None]
    ufrags: frozenset[str]


def _check(sdp: str) -> _Checked:
    if len(sdp) > MAX_SDP:
        raise OfferError(f"offer of {len(sdp)} characters; at most {MAX_SDP} are read")
    lines = sdp.splitlines()
    if len(lines) > MAX_SDP_LINES:
        raise OfferError(f"offer of {len(lines)} lines; at most {MAX_SDP_LINES} are read")
    count = sum(line.startswith("a=rtpmap:") for line in lines)
    if count > MAX_CODECS:
        raise OfferError(f"offer of {count} codecs; at most {MAX_CODECS} are read")
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
    ufrags = frozenset(
        section.ice.usernameFragment
        for section in description.media
        if section.ice is not None and section.ice.usernameFragment is not None
    )
    return _Checked(sdp, directions, ufrags)


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

    aioice 0.13 asks the local network for each, up to a second, and fails where multicast is not
    possible. Nothing is lost: the peer's own checks tell its address (peer-reflexive candidates).
    Then the offer's list is not the whole one, so its end is left out as well.
    """
    kept = [line for line in lines if not (line.startswith("a=candidate:") and ".local " in line)]
    if len(kept) == len(lines):
        return lines
    return [line for line in kept if not line.startswith("a=end-of-candidates")]

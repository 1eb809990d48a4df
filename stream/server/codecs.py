"""Which video codecs of an offer can be used, and H.264 profiles that aiortc does not know."""

import re
from collections.abc import Mapping

from aiortc.sdp import H264Profile, parse_h264_profile_level_id

from stream.errors import OfferError

KNOWN_PROFILES = (H264Profile.PROFILE_BASELINE, H264Profile.PROFILE_CONSTRAINED_BASELINE)
"""Those that aiortc 1.16 negotiates, with packetization mode 1 only; FFmpeg, which decodes, takes
all that there are."""

STAND_IN = "packetization-mode=1;profile-level-id=42e01f"

_CODEC = re.compile(r"^a=rtpmap:(\d+) (VP8|H264)/90000\r\n", re.MULTILINE | re.IGNORECASE)


def check(sdp: str) -> None:
    """Raise OfferError when no codec of the video can be used, and say which could."""
    if _CODEC.search(sdp):
        return
    video = sdp.partition("m=video")[2].partition("\nm=")[0]
    names = dict.fromkeys(re.findall(r"^a=rtpmap:\d+ ([^/\s]{1,20})", video, re.MULTILINE))
    raise OfferError(
        f"the offer's video is {', '.join(names)[:100] or 'of no codec'}; wanted VP8 or H264"
    )


def with_known_profile(sdp: str) -> tuple[str, Mapping[str, str]]:
    """The offer with H.264 in a profile that aiortc takes, if it takes nothing else in it.

    FFmpeg offers the profile that it encodes, High as a rule. Returns also the format lines that
    were replaced, by payload type, which `with_offered_profile` puts into the answer.
    """
    formats = re.findall(r"^(a=fmtp:(\d+) [^\r]*)\r$", sdp, re.MULTILINE)
    by_type = {payload_type: line for line, payload_type in formats}
    codecs = list(_CODEC.finditer(sdp))
    if any(codec[2].upper() == "VP8" or _is_known(by_type.get(codec[1], "")) for codec in codecs):
        return sdp, {}
    replaced = {}
    for line, number in ((codec[0], codec[1]) for codec in codecs):
        stand_in = f"a=fmtp:{number} {STAND_IN}\r\n"
        if number in by_type:
            replaced[number] = by_type[number]
            sdp = sdp.replace(f"{by_type[number]}\r\n", stand_in)
        else:
            sdp = sdp.replace(line, line + stand_in)
    return sdp, replaced


def with_offered_profile(answer: str, replaced: Mapping[str, str]) -> str:
    """The answer with the format lines that the offer had (RFC 6184 section 8.2.2: the profile
    must be the same on both sides)."""
    lines = answer.split("\r\n")
    for number, line in replaced.items():
        lines = [line if other.startswith(f"a=fmtp:{number} ") else other for other in lines]
    return "\r\n".join(lines)


def _is_known(line: str) -> bool:
    """Whether aiortc negotiates a format line of H.264."""
    parameters = dict(
        part.strip().partition("=")[::2] for part in line.partition(" ")[2].split(";")
    )
    try:
        profile, _ = parse_h264_profile_level_id(parameters.get("profile-level-id", "42e01f"))
    except ValueError:
        return False
    return profile in KNOWN_PROFILES and parameters.get("packetization-mode") == "1"

"""What an RTP payload says of the picture it carries, for VP8 (RFC 7741) and H.264 (RFC 6184).

codec: "VP8" or "H264". A payload that makes no sense tells nothing: every answer is then False.
"""

VP8_EXTENDED = 0x80
VP8_START_MASK, VP8_START = 0x1F, 0x10
"""Start of the first partition: S is set, and the partition's index is 0."""

SLICE_IDR, SPS, STAP_A, FU_A = 5, 7, 24, 28

START_CODE = b"\x00\x00\x01"


def begins_picture(codec: str, payload: bytes) -> bool:
    """Whether a picture surely begins here, whatever became of the packet before.

    An H.264 slice does not tell, so only parameter sets count; they come before each keyframe.
    """
    if not payload:
        return False
    if codec == "VP8":
        return payload[0] & VP8_START_MASK == VP8_START
    return _nal_type(payload) == SPS


def is_keyframe(codec: str, data: bytes) -> bool:
    """Whether decoding can begin with this picture, or this is a piece of one like that.

    data: depayloaded, from the picture's beginning on; H.264 in Annex B form (RFC 6386 section
    9.1; H.264 table 7-1).
    """
    if codec == "VP8":
        return bool(data) and not data[0] & 1
    at = data.find(START_CODE)
    while 0 <= at < len(data) - 3:
        if data[at + 3] & 0x1F in (SLICE_IDR, SPS):
            return True
        at = data.find(START_CODE, at + 3)
    return False


def _nal_type(payload: bytes) -> int:
    """Type of the first NAL unit that a payload carries the beginning of; 0: of none."""
    kind = payload[0] & 0x1F
    if kind == STAP_A:
        return payload[3] & 0x1F if len(payload) > 3 else 0
    if kind == FU_A:
        begins = len(payload) > 1 and payload[1] & 0x80
        return payload[1] & 0x1F if begins else 0
    return kind

"""What is added to an answer that aiortc wrote."""

import ipaddress
import re

START_KBPS = 2000
"""What a browser should begin to send with: enough for 720p. Chromium otherwise begins at
300 kbit/s, scales the camera down to 360p, and needs half a minute to come back up, since aiortc
1.16 reports only REMB. Its own estimate still lowers it on a slow network."""

_CODEC = re.compile(r"a=rtpmap:(\d+) (?:VP8|H264)/90000")


def with_start_bitrate(sdp: str) -> str:
    """Tell the offerer's video encoders where to start (Chromium's x-google-start-bitrate)."""
    parameter = f"x-google-start-bitrate={START_KBPS}"
    lines = sdp.split("\r\n")
    for payload_type in _CODEC.findall(sdp):
        format_line = f"a=fmtp:{payload_type} "
        for at, line in enumerate(lines):
            if line.startswith(format_line):
                lines[at] = f"{line};{parameter}"
                break
        else:
            codec = next(
                at for at, line in enumerate(lines) if line.startswith(f"a=rtpmap:{payload_type} ")
            )
            lines.insert(codec + 1, format_line + parameter)
    return "\r\n".join(lines)


def with_public_address(sdp: str, address: str) -> str:
    """Add to each of the server's own addresses what a NAT in front of it is reached by.

    The ports stay. The public one comes first: FFmpeg's WHIP muxer only tries the first.
    """
    version = ipaddress.ip_address(address).version
    lines = []
    for line in sdp.split("\r\n"):
        fields = line.split(" ")
        if line.startswith("a=candidate:") and fields[7] == "host":
            own = ipaddress.ip_address(fields[4])
            if own.version == version and not own.is_loopback and str(own) != address:
                # One less in local preference, for two candidates must not have the same priority.
                priority = str(int(fields[3]) - (1 << 8))
                lines.append(" ".join([*fields[:3], priority, address, *fields[5:]]))
        lines.append(line)
    return with_first("\r\n".join(lines), address)


def with_first(sdp: str, address: str) -> str:
    """Put the candidates of one address first, for peers that only try one."""
    lines: list[str] = []
    first = len(lines)
    for line in sdp.split("\r\n"):
        if not line.startswith("a=candidate:"):
            lines.append(line)
            first = len(lines)
        elif line.split(" ")[4] == address:
            lines.insert(first, line)
            first += 1
        else:
            lines.append(line)
    return "\r\n".join(lines)

"""What is added to an answer that aiortc wrote."""

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

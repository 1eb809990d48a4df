"""Every limit of the program, with its reason. Sizes in bytes, times in seconds."""

MAX_OBJECTS = 16
"""Objects a session may track: each costs one attention and one decoder pass a frame."""

MAX_POINTS = 64
"""Points one object may collect on one frame; the decoder's cost grows with their square."""

MAX_UNDO = 16
"""Prompts that can be taken back; each keeps its object's former memory bank alive."""

MAX_SIDE = 4096
"""Longest side of an accepted picture in pixels: 4K video passes, a decompression bomb does not."""

MAX_SDP = 256 * 1024
"""An SDP offer: browsers send 5 to 20 KiB."""

MAX_MESSAGE = 64 * 1024
"""One control message: the largest that every WebRTC stack passes."""

MAX_BACKGROUND = 10 * 1024 * 1024
"""An uploaded background picture, as a file."""

MAX_SESSIONS = 16
"""Live sessions of one server."""

MEDIA_SILENCE = 10.0
"""A peer that sent no picture for so long is gone."""

CONNECT_TIMEOUT = 30.0
"""From the answer to the first packet of a peer."""

"""Pictures and sound from a WebRTC peer."""

import time
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError


async def drain_video(
    track: MediaStreamTrack, receive: Callable[[av.VideoFrame, float | None], None]
) -> None:
    """Hand over each picture as soon as it was decoded, until the track ends, with the time when
    its data had come (stream.server.patches.decoding).

    A remote track's queue has no bound (aiortc 1.16): whoever reads it must never wait.
    """
    try:
        while True:
            picture = await track.recv()
            assert isinstance(picture, av.VideoFrame)
            arrived, picture.opaque = picture.opaque, None  # encoders would pass it on
            receive(picture, arrived if isinstance(arrived, float) else None)
    except MediaStreamError:
        return


async def drain_audio(
    track: MediaStreamTrack, receive: Callable[[av.AudioFrame, float], None]
) -> None:
    """The same for sound, with the present time: neither was waited for (patches.jitter)."""
    try:
        while True:
            sound = await track.recv()
            assert isinstance(sound, av.AudioFrame)
            receive(sound, time.monotonic())
    except MediaStreamError:
        return

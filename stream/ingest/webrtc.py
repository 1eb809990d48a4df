"""Pictures and sound from a WebRTC peer."""

from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError


async def drain_video(track: MediaStreamTrack, receive: Callable[[av.VideoFrame], None]) -> None:
    """Hand over each picture as soon as it was decoded, until the track ends.

    A remote track's queue has no bound (aiortc 1.16): whoever reads it must never wait.
    """
    try:
        while True:
            picture = await track.recv()
            assert isinstance(picture, av.VideoFrame)
            receive(picture)
    except MediaStreamError:
        return


async def drain_audio(track: MediaStreamTrack, receive: Callable[[av.AudioFrame], None]) -> None:
    """The same for sound."""
    try:
        while True:
            sound = await track.recv()
            assert isinstance(sound, av.AudioFrame)
            receive(sound)
    except MediaStreamError:
        return

"""Pictures that several encoders share."""

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from test_session import picture

from stream.egress.viewing import CopiedOutput, _copy, video_track
from stream.egress.webrtc import VideoOutput
from stream.frames import Frame
from stream.mailbox import Mailbox


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "rgb24"])
def test_a_copy_shares_nothing(name: str) -> None:
    original = picture(3, 322, 182).reformat(format=name)
    before = original.to_ndarray().copy()
    copy = _copy(original)
    np.testing.assert_array_equal(copy.to_ndarray(), before)
    assert (copy.pts, copy.time_base) == (original.pts, original.time_base)
    copy.pict_type = PictureType.I
    assert original.pict_type != PictureType.I


def test_pictures_with_lines_of_another_length() -> None:
    pixels = np.arange(48 * 3 // 2 * 36, dtype=np.uint32).astype(np.uint8).reshape(72, 36)
    original = av.VideoFrame.from_numpy_buffer(pixels.copy(), format="yuv420p")
    assert original.planes[0].line_size != av.VideoFrame(36, 48, "yuv420p").planes[0].line_size
    np.testing.assert_array_equal(_copy(original).to_ndarray(), original.to_ndarray())


async def test_only_the_first_track_takes_pictures_as_they_are() -> None:
    shown = []
    for is_first in (True, False):
        frames: Mailbox[Frame] = Mailbox()
        track = video_track(frames, is_first)
        assert isinstance(track, VideoOutput)
        assert isinstance(track, CopiedOutput) is not is_first
        original = picture()
        assert original.time_base is not None
        frames.put(Frame(original, 0, original.pts or 0, original.time_base))
        shown.append(await track.recv() is original)
        track.stop()
    assert shown == [True, False]

"""How much memory one person's background videos may take."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_tracker import bright_supervisor
from test_moving_backgrounds import video

from stream.compose import uploads
from stream.compose.effects import Effect
from stream.errors import LimitError
from stream.session import Session

ONE = 5 * 48 * 64 * 3
"""Bytes of the test's video, decoded."""


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_MEMORY", 2 * ONE)
    with ThreadPoolExecutor(1) as pool:
        yield Session("s", bright_supervisor(), pool)


async def test_older_videos_make_room(session: Session) -> None:
    data = video("mp4", "libx264")
    names = [await session.add_background(data) for _ in range(3)]
    assert session.background_names()[-2:] == tuple(names[1:])


async def test_a_video_alone_is_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD_MEMORY", ONE - 1)
    name = await session.add_background(video("mp4", "libx264"))
    assert session.background_names()[-1] == name


async def test_a_stack_keeps_no_more_alive_either(session: Session) -> None:
    data = video("mp4", "libx264")
    shown: list[Effect] = []
    for count in range(1, 4):
        shown.append(Effect("video", background=await session.add_background(data)))
        if count < 3:
            await session._effects.show(tuple(shown))
    with pytest.raises(LimitError, match="MiB decoded"):
        await session._effects.show(tuple(shown))
    assert session.effects == tuple(shown[:2])

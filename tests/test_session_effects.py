"""What a session shows: its effects, and the backgrounds uploaded for them."""

import asyncio

import cv2
import numpy as np
import pytest
from session_stage import GREEN, Stage, is_near, middle_and_corner

import stream.compose.privacy
from stream.compose.effects import Effect
from stream.errors import EffectError, MediaError
from stream.limits import MAX_UPLOADS
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    Rejected,
    RemoveObject,
    SetEffect,
    State,
)


async def test_removing_the_last_object_hides_all(stage: Stage) -> None:
    await stage.ask(AddBox(16, 12, 48, 36, None))
    assert await stage.ask(SetEffect(Effect("colour"))) == Accepted(2)
    async with asyncio.timeout(10):  # what was hidden fades in
        while True:
            middle, corner = middle_and_corner(await stage.pass_through())
            assert is_near(corner, GREEN)
            if is_near(middle, (220, 220, 220)):
                break
    assert await stage.ask(RemoveObject(1)) == Accepted(3)
    await stage.until(lambda: stage.told(State)[-1].objects == ())
    middle, corner = middle_and_corner(await stage.pass_through())
    assert is_near(middle, GREEN)
    assert is_near(corner, GREEN)


async def test_stale_masks_hide_all_but_only_where_the_background_is_hidden(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ask(AddPoint(30, 20, True, None))
    await stage.ask(SetEffect(Effect("colour")))
    stage.tracker.gate.clear()
    monkeypatch.setattr(stream.compose.privacy, "MASK_LATE", 0.2)
    await asyncio.sleep(0.3)
    middle, corner = middle_and_corner(await stage.pass_through())
    assert is_near(middle, GREEN)
    assert is_near(corner, GREEN)
    await stage.ask(SetEffect(Effect("overlay")))
    middle, _ = middle_and_corner(await stage.pass_through())
    assert not is_near(middle, (220, 220, 220)), "a tint that is late harms nobody"
    age = stage.stats().mask_age_ms
    assert age is not None
    assert age > 200


async def test_who_follows_is_told_the_effect_that_it_begins_with(stage: Stage) -> None:
    await stage.session.begin_with((Effect("pixelate"),))
    assert stage.told(State)[-1].effect == Effect("pixelate")


async def test_the_newest_uploads_are_kept(stage: Stage) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 2] = 200
    png = cv2.imencode(".png", red)[1].tobytes()
    names = [await stage.session.add_background(png) for _ in range(MAX_UPLOADS + 1)]
    assert stage.session.background_names()[-MAX_UPLOADS:] == tuple(names[1:])
    gone = await stage.ask(SetEffect(Effect("picture", background=names[0])))
    assert isinstance(gone, Rejected)
    assert isinstance(gone.error, EffectError)
    kept = await stage.ask(SetEffect(Effect("picture", background=names[-1])))
    assert isinstance(kept, Accepted)
    _, corner = middle_and_corner(await stage.pass_through())
    assert is_near(corner, (200, 0, 0))
    with pytest.raises(MediaError):
        await stage.session.add_background(b"no picture")
    large = cv2.imencode(".png", np.zeros((10, 4000, 3), np.uint8))[1].tobytes()
    name = await stage.session.add_background(large)
    assert stage.session._effects.uploads.kept[name].shape == (5, 1920, 3)

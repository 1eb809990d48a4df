"""Stacks of effects on cameras: written, kept, shown, and switched while the camera is live."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, serving, state, until

from stream.cameras import CameraFile, add, read_config, set_effect
from stream.cli import main
from stream.compose.effects import Effect
from stream.errors import InputError, LimitError
from stream.server import effects
from stream.server.cameras import CAMERAS
from stream.session import Session
from stream.settings import Settings

BLUE = {"name": "colour", "colour": "#0000ff"}
GREY = {"name": "desaturate", "strength": 1, "target": "both"}
STACK = (
    Effect("colour", colour="#0000ff"),
    Effect("desaturate", 1, target="both"),
)


def names(found: dict[str, Any]) -> list[str]:
    return [effect["name"] for effect in found["effects"]]


async def shows(http: Http, *wanted: str) -> dict[str, Any]:
    """The camera's state once it has these effects."""
    for _ in range(400):
        found = await state(http, "film")
        if names(found) == list(wanted):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} never became {wanted}")


async def patch(http: Http, effect: object, name: str = "film") -> dict[str, Any]:
    async with http.patch(f"/cameras/{name}", json={"effect": effect}) as response:
        body = await response.json()
        assert response.status == 200, body
        return dict(body)


async def becomes(http: Http, check: Callable[[np.ndarray], bool]) -> None:
    """Wait until the background, as a viewer gets it, is so: a picture may be at work already."""
    for _ in range(400):
        async with http.get("/cameras/film/snapshot.jpg") as response:
            assert response.status == 200, await response.text()
            data = np.frombuffer(await response.read(), np.uint8)
        pixel = cv2.imdecode(data, cv2.IMREAD_COLOR)[4, 4].astype(int)
        if check(pixel):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"blue, green and red are {pixel}")


def is_blue(pixel: np.ndarray) -> bool:
    return bool(pixel[0] > 180 and pixel[2] < 80)


def is_grey(pixel: np.ndarray) -> bool:
    return bool(pixel.max() - pixel.min() < 12)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("blur", "blur"),
        (["blur"], "blur"),
        ({"name": "blur", "strength": 0.5}, "blur"),
        ([BLUE, GREY], [BLUE, GREY]),
        (["blur", {"name": "pixelate", "objects": [2]}],) * 2,
        (
            {"name": "picture", "background": "room", "fit": "contain", "position": [0, 1]},
            {"name": "picture", "background": "room", "fit": "contain", "position": [0, 1]},
        ),
    ],
)
def test_a_file_keeps_what_it_was_given(tmp_path: Path, given: object, kept: object) -> None:
    file = CameraFile(tmp_path / "cameras.json")
    camera = read_config({"name": "a", "url": "rtsp://h/a", "effect": given}, files=False)
    file.update(add(camera))
    assert json.loads(file.path.read_text())["cameras"][0]["effect"] == kept
    assert file.read() == {"a": camera}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no effect"),
        (5, "wanted"),
        ("sepia", "overlay, blur"),
        ("blur:strength=1", "unknown"),
        ("picture", "dawn, lights"),
        ("video", "dawn, lights"),
        ({"name": "picture", "background": "upload-1"}, "dawn, lights"),
        ({"name": "overlay", "background": "/etc/passwd"}, "dawn, lights"),
        (["blur", {"name": "pixelate", "objects": []}], "objects"),
        ({"name": "blur", "glow": 1}, "field 'glow'"),
        ({"name": "x" * 9999}, "x"),
    ],
)
def test_effects_that_are_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_config({"name": "a", "url": "rtsp://h/a", "effect": given}, files=False)
    assert len(str(refused.value)) < 400
    with pytest.raises(LimitError):
        read_config({"name": "a", "url": "rtsp://h/a", "effect": ["none"] * 9}, files=False)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGSTREAM_CAMERAS", str(tmp_path / "cameras.json"))
    file = CameraFile(tmp_path / "cameras.json")
    url = "rtsp://127.0.0.1:1/live"
    stack = ["--effect", "colour:colour=#0000ff", "--effect", "desaturate:strength=1:target=both"]
    assert main(["camera", "add", "door", url, *stack]) == 0
    assert file.read()["door"].effect == STACK
    assert main(["camera", "list"]) == 0
    assert "effect=colour:colour=#0000ff effect=desaturate:strength=1.0:target=both" in (
        capsys.readouterr().out
    )
    assert main(["camera", "effect", "door", "blur", "pixelate:objects=1,2"]) == 0
    assert file.read()["door"].effect == (Effect("blur"), Effect("pixelate", objects=(1, 2)))
    for wrong in (["sepia"], ["picture"], ["blur:strength=much"], ["none"] * 9):
        assert main(["camera", "effect", "door", *wrong]) == 2
        assert main(["camera", "add", "b", url, *(f"--effect={one}" for one in wrong)]) == 2
    assert main(["camera", "effect", "gate", "blur"]) == 2
    assert "no camera gate; known: door" in capsys.readouterr().err


async def test_all_effects_are_on_the_picture_and_there_after_a_restart(
    settings: Settings, clip: Path
) -> None:
    async with serving(settings) as http:
        told = await add_camera(http, name="film", url=str(clip), effect=[BLUE, GREY])
        assert told["name"] == "film"
        await until(http, "film", state="live")
        await becomes(http, is_grey)
        await patch(http, [GREY, BLUE])
        await becomes(http, is_blue)  # the last one is on top
    async with serving(settings) as http:
        found = await until(http, "film", state="live")
        assert (found["effect"], names(found)) == ("desaturate", ["desaturate", "colour"])
        assert found["effects"][0]["target"] == "both"
        await becomes(http, is_blue)


async def test_effects_are_switched_without_a_gap(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect=BLUE)
    await until(http, "film", state="live")
    await becomes(http, is_blue)
    assert http.server is not None
    cameras = http.server.app[CAMERAS]  # type: ignore[attr-defined]
    before = cameras.get("film")
    found = await patch(http, [BLUE, GREY])
    assert names(found) == ["colour", "desaturate"]
    assert found["state"] == "live"
    assert cameras.get("film") is before, "it was not begun anew"
    await becomes(http, is_grey)
    for wrong, status in ((["sepia"], 400), (["none"] * 9, 413), ("picture", 400)):
        async with http.patch("/cameras/film", json={"effect": wrong}) as response:
            assert response.status == status
    for body in ({}, [], {"effect": "blur", "url": "rtsp://h/a"}):
        async with http.patch("/cameras/film", json=body) as response:
            assert response.status == 400
    async with http.patch("/cameras/nobody", json={"effect": "blur"}) as response:
        assert response.status == 404
    assert names(await state(http, "film")) == ["colour", "desaturate"]


async def test_what_a_viewer_chose_is_overruled(http: Http, clip: Path) -> None:
    """Though the camera's own effects stay what they were."""
    await add_camera(http, name="film", url=str(clip), effect="blur")
    await until(http, "film", state="live")
    assert http.server is not None
    camera = http.server.app[CAMERAS].get("film")  # type: ignore[attr-defined]
    await camera.show((Effect("mask"),))
    assert names(await state(http, "film")) == ["mask"]
    assert names(await patch(http, "blur")) == ["blur"]


async def test_a_camera_whose_effects_hang_is_begun_anew(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none")
    await until(http, "film", state="live")
    monkeypatch.setattr(effects, "EFFECT_TIMEOUT", 0.1)
    monkeypatch.setattr(Session, "request", lambda *_, **__: None)
    await patch(http, BLUE)
    assert names(await until(http, "film", state="live")) == ["colour"]


async def test_a_changed_file_switches_too(http: Http, settings: Settings, clip: Path) -> None:
    assert settings.cameras is not None
    await add_camera(http, name="film", url=str(clip))
    before = await until(http, "film", state="live")
    CameraFile(settings.cameras).update(set_effect("film", STACK))
    found = await shows(http, "colour", "desaturate")
    assert found["pictures"] >= before["pictures"], "it was not begun anew"


async def test_one_that_has_not_begun_begins_with_the_new_effect(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first may be set in another thread at this moment, and come after the second."""
    begun: list[asyncio.Event] = []
    begin_with = Session.begin_with

    async def late(session: Session, *arguments: Any) -> None:
        begun.append(asyncio.Event())
        if len(begun) == 1:
            await begun[0].wait()
        await begin_with(session, *arguments)

    monkeypatch.setattr(Session, "begin_with", late)
    await add_camera(http, name="film", url=str(clip), effect="none")
    await patch(http, [BLUE])
    begun[0].set()
    found = await until(http, "film", state="live")
    assert names(found) == ["colour"]
    assert len(begun) == 2
    await becomes(http, is_blue)

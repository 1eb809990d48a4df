"""The whole way: a camera's picture, a click on the page, the tracked and composited stream back.

What comes back is read from the page's own video and compared with the camera's picture.
"""

import cv2
import numpy as np
import pytest
from measure import change, detail, tint, tinted_share

from stream.limits import MAX_UPLOADS

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHEST = (0.45, 0.46)
HEAD = (0.465, 0.27)
TOP_CORNERS = ((0.05, 0.05), (0.95, 0.05))
PERSON = (0.36, 0.44, 0.56, 0.56)
SCREEN_AND_BOARD = ((0.0, 0.15, 0.14, 0.95), (0.74, 0.1, 1.0, 0.7))

KETTLE = (0.43, 0.65)
BESIDE_KETTLE = ((0.68, 0.72), (0.5, 0.2), (0.1, 0.85), *TOP_CORNERS)
"""A mug, a shirt, the table, the wall."""

TRUE_TINT = 0.25
"""The overlay's default strength is 0.5; the codec and the matte's edge take some of it."""

NO_CHANGE = 8
"""Chroma levels of 255 that a video codec may move a plain surface."""


def test_a_click_tints_the_person_and_blur_softens_the_rest(open_screen, webcam):
    screen = open_screen(webcam)
    screen.start()
    screen.holds(lambda output, source: change(output, source, CHEST) < NO_CHANGE)
    screen.click(CHEST)
    (person,) = screen.wait_objects(1)
    assert screen.selected() == person
    colour = screen.colour(person)

    def tinted(output, source):
        return (
            tint(output, source, CHEST, colour) > TRUE_TINT
            and tint(output, source, HEAD, colour) > TRUE_TINT
            and all(change(output, source, corner) < NO_CHANGE for corner in TOP_CORNERS)
            and 0.1 < tinted_share(output, source, colour) < 0.45
        )

    screen.holds(tinted)
    screen.save("overlay")
    for name in ("fps_in", "fps_out", "fps_shown", "fps_tracker", "latency", "mask_age"):
        screen.until(lambda name=name: float(screen.stat(name) or 0) > 0)
    assert screen.stat("size") == "640 x 480"

    screen.page.get_by_text("Blur background").click()
    screen.page.locator("#strength").fill("1")

    def blurred(output, source):
        return detail(output, PERSON) > 0.6 * detail(source, PERSON) and all(
            detail(output, region) < 0.3 * detail(source, region) for region in SCREEN_AND_BOARD
        )

    screen.holds(blurred)
    screen.save("blur")


def test_a_click_on_a_kettle_tints_it_and_not_what_is_beside_it(open_screen, coffee):
    screen = open_screen(coffee)
    screen.start()
    screen.click(KETTLE)
    (kettle,) = screen.wait_objects(1)
    colour = screen.colour(kettle)

    def tinted(output, source):
        return (
            tint(output, source, KETTLE, colour) > TRUE_TINT
            and all(change(output, source, place) < NO_CHANGE for place in BESIDE_KETTLE)
            and 0.03 < tinted_share(output, source, colour) < 0.13
        )

    screen.holds(tinted)
    screen.save("kettle")


def test_objects_are_refined_undone_removed_and_cleared(open_screen, webcam):
    screen = open_screen(webcam)
    screen.start()
    page = screen.page
    screen.click(CHEST)
    (first,) = screen.wait_objects(1)
    colour = screen.colour(first)
    screen.holds(lambda output, source: tint(output, source, CHEST, colour) > TRUE_TINT)

    # Clicks refine the selected object: no second one appears.
    screen.click((0.9, 0.3), button="right")
    assert page.locator(".marker.exclude").count() >= 1
    page.keyboard.down("Alt")
    screen.click((0.05, 0.5))
    page.keyboard.up("Alt")
    screen.click(HEAD)
    screen.until(lambda: page.locator("#undo").is_enabled())
    assert screen.wait_objects(1) == [first]

    page.click("#new-object")
    assert screen.selected() is None
    screen.click((0.85, 0.4), selector="#local")  # the small picture takes clicks too
    second = screen.wait_objects(2)[1]
    page.keyboard.press("c")
    assert not page.locator("#local").is_visible()
    page.keyboard.press("c")
    page.keyboard.press("s")  # now it is the large one
    assert page.locator("#local").bounding_box()["width"] > 600
    screen.click((0.85, 0.5), selector="#local")
    page.keyboard.press("s")
    assert screen.selected() == second
    assert screen.colour(second) != colour
    page.click(f"[data-object='{first}'] .choose")
    assert screen.selected() == first

    for _ in range(2):  # the last two prompts made the second object
        page.keyboard.press("z")
    assert screen.wait_objects(1) == [first]
    page.keyboard.press("Delete")
    screen.wait_objects(0)
    screen.holds(lambda output, source: change(output, source, CHEST) < NO_CHANGE)

    screen.click(CHEST)
    screen.wait_objects(1)
    page.click("#clear")
    screen.wait_objects(0)
    assert page.locator(".toast").count() == 0


def test_a_drag_draws_a_box_and_escape_cancels_it(open_screen, webcam):
    screen = open_screen(webcam)
    screen.start()
    top_left, bottom_right = (0.28, 0.14), (0.7, 0.99)
    screen.drag(top_left, bottom_right, drop=False)
    assert screen.page.locator("#band").is_visible()
    screen.save("band")
    screen.page.keyboard.press("Escape")
    assert not screen.page.locator("#band").is_visible()
    screen.page.mouse.up()
    assert screen.objects() == []

    screen.drag(top_left, bottom_right)
    (person,) = screen.wait_objects(1)
    colour = screen.colour(person)
    screen.holds(
        lambda output, source: (
            tint(output, source, CHEST, colour) > TRUE_TINT
            and all(change(output, source, corner) < NO_CHANGE for corner in TOP_CORNERS)
        )
    )


def test_a_background_picture_is_uploaded_and_a_file_that_is_none_is_refused(
    open_screen, webcam, tmp_path
):
    screen = open_screen(webcam)
    screen.start()
    page = screen.page
    screen.click(CHEST)
    screen.wait_objects(1)
    page.keyboard.press("4")
    page.wait_for_selector("#backgrounds img")
    screen.until(lambda: page.evaluate(
        "[...document.querySelectorAll('#backgrounds img')].every((i) => i.naturalWidth > 0)"
    ))  # fmt: skip
    screen.holds(lambda output, source: change(output, source, TOP_CORNERS[0]) > NO_CHANGE)
    screen.save("background")
    # What only screen readers find must not make the page longer than the window.
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")

    unreadable = tmp_path / "notes.png"
    unreadable.write_text("no picture at all")
    page.set_input_files("#upload", unreadable)
    page.wait_for_selector(".toast[role=alert]")
    screen.save("refused")
    assert page.evaluate("document.body.dataset.state") == "live"

    red = tmp_path / "red.png"
    cv2.imwrite(str(red), np.full((48, 64, 3), (20, 20, 200), np.uint8))
    page.set_input_files("#upload", red)

    def replaced(output, source):
        corners = all(tint(output, source, corner, "#c81414") > 0.7 for corner in TOP_CORNERS)
        return corners and change(output, source, CHEST) < 2 * NO_CHANGE

    screen.holds(replaced)
    screen.save("upload")


def test_a_refused_effect_is_told_and_the_picker_goes_back(open_screen, webcam, tmp_path):
    screen = open_screen(webcam)
    screen.start()
    page = screen.page
    page.keyboard.press("4")
    thumbnails = page.locator("#backgrounds input")
    screen.until(thumbnails.count)
    built_in = thumbnails.count()
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((24, 32, 3), 128, np.uint8))
    for number in range(1, MAX_UPLOADS + 2):
        page.set_input_files("#upload", picture)
        screen.until(lambda number=number: thumbnails.count() == built_in + number)
        screen.until(thumbnails.last.is_checked)
    page.locator("#backgrounds label").nth(built_in).click()  # the server keeps the newest only
    page.wait_for_selector(".toast[role=alert]")
    screen.until(thumbnails.last.is_checked)


def test_everything_works_from_the_keyboard(open_screen, webcam):
    screen = open_screen(webcam, color_scheme="dark")
    page = screen.page
    _tab_to(page, "start")
    page.keyboard.press("Enter")
    screen.live()
    _tab_to(page, "stage")
    assert page.locator("#crosshair").is_visible()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    (person,) = screen.wait_objects(1)
    colour = screen.colour(person)
    screen.holds(lambda output, source: tint(output, source, CHEST, colour) > TRUE_TINT)
    screen.save("crosshair")

    page.keyboard.press("n")
    page.keyboard.press("b")
    for key in ("ArrowRight", "ArrowDown"):
        for _ in range(6):
            page.keyboard.press(key)
    assert page.locator("#band").is_visible()
    page.keyboard.press("Enter")
    screen.wait_objects(2)
    page.keyboard.press("Control+z")
    screen.wait_objects(1)

    for key, name in (("6", "cutout"), ("1", "none"), ("2", "overlay")):
        page.keyboard.press(key)
        screen.until(lambda name=name: page.locator(f"input[value={name}]").is_checked())
    page.keyboard.press("?")
    assert page.locator("#help-dialog").is_visible()
    screen.save("help")
    page.keyboard.press("Enter")
    assert not page.locator("#help-dialog").is_visible()


def _tab_to(page, element_id):
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == element_id:
            return
    pytest.fail(f"Tab does not reach #{element_id}")


@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone_a_tap_marks_and_everything_is_large_enough(open_screen, webcam, width):
    screen = open_screen(
        webcam,
        viewport={"width": width, "height": 844},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
        color_scheme="dark" if width == 390 else "light",
    )
    page = screen.page
    page.tap("#start")
    screen.live()
    page.touchscreen.tap(*screen.at(CHEST))
    (person,) = screen.wait_objects(1)
    page.tap("#exclude")
    page.touchscreen.tap(*screen.at((0.9, 0.3)))
    screen.until(lambda: page.locator(".marker.exclude").count())
    colour = screen.colour(person)
    screen.holds(lambda output, source: tint(output, source, CHEST, colour) > TRUE_TINT)
    screen.save(f"phone-{width}", full_page=True)

    page.tap("#exclude")
    page.tap("#new-object")
    _finger_drag(page, screen.at((0.3, 0.2)), screen.at((0.6, 0.6)))
    screen.wait_objects(2)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button:visible, select:visible, label:visible").all():
        assert target.bounding_box()["height"] >= 44, target.inner_text()


def _finger_drag(page, start, end):
    session = page.context.new_cdp_session(page)
    steps = [[a + (b - a) * step / 5 for a, b in zip(start, end, strict=True)] for step in range(6)]
    for kind, (x, y) in zip(["touchStart", *["touchMove"] * 5], steps, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_another_camera_is_taken_without_a_new_session(open_screen, launch):
    screen = open_screen(
        launch(
            "--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"
        )
    )
    screen.start()
    page = screen.page
    cameras = page.locator("#camera option").all()
    assert len(cameras) == 2
    before = page.locator("#camera").input_value()
    (other,) = {camera.get_attribute("value") for camera in cameras} - {before}
    screen.click((0.5, 0.5))
    screen.wait_objects(1)
    page.select_option("#camera", other)
    device = "document.querySelector('#local').srcObject.getTracks()[0].getSettings().deviceId"
    screen.until(lambda: page.evaluate(device) == other)
    screen.until(lambda: float(screen.stat("fps_in") or 0) > 0)
    assert len(screen.objects()) == 1
    page.click("#stop")
    assert page.evaluate("document.body.dataset.state") == "idle"
    assert page.evaluate("document.querySelector('#local').srcObject") is None


def test_the_microphone_is_off_until_asked_for_and_is_not_played(open_screen, webcam):
    screen = open_screen(webcam)
    page = screen.page
    screen.start()
    sound = """() => {
      const video = document.querySelector("#output");
      const [track] = video.srcObject.getAudioTracks();
      return { arrives: !track.muted, played: !video.muted };
    }"""
    assert page.evaluate(sound) == {"arrives": False, "played": False}
    page.check("#microphone")
    screen.until(lambda: page.evaluate(sound)["arrives"])
    assert page.evaluate(sound) == {"arrives": True, "played": False}
    page.check("#listen")
    assert page.evaluate(sound) == {"arrives": True, "played": True}
    page.uncheck("#microphone")
    assert not page.evaluate(sound)["played"]

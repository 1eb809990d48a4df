"""Recording from the page: what is shown and heard comes out as a file that plays."""

import av
import numpy as np
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

IDLE = {"possible": True, "allowed": True, "recording": None}
DISK_FULL = {"state": "stopped", "reason": "cannot record into /srv: the disk is full"}


def button(screen):
    return screen.page.locator("#record")


def shows(screen, text):
    screen.until(lambda: text in button(screen).inner_text())


def answered(screen, given):
    """In the server's place, from now on."""
    screen.page.route("**/recording", lambda route: route.fulfill(**given))


def links(screen):
    return screen.page.get_by_role("link", name="Download")


def downloaded(screen, link, path):
    with screen.page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename.startswith("segstream-")
    assert download.value.suggested_filename.endswith(".mp4")
    download.value.save_as(path)
    return path


def played(path):
    """Times of the pictures and of the sound; how far a picture and the sound are from nothing."""
    pictures, sounds, contrast, loudness = [], [], 0.0, 0.0
    with av.open(str(path)) as film:
        for frame in film.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.time)
                contrast = max(contrast, frame.to_ndarray(format="gray").std())
            else:
                sounds.append(frame.time)
                loudness = max(loudness, np.abs(frame.to_ndarray()).max())
    return pictures, sounds, contrast, loudness


def test_three_seconds_are_recorded_and_downloaded(open_screen, webcam, film_server, tmp_path):
    screen = open_screen(webcam, url=film_server.url, accept_downloads=True)
    page = screen.page
    assert button(screen).is_disabled()
    page.check("#microphone")
    screen.start()
    assert page.get_by_role("button", name="Record", exact=True).is_enabled()
    page.keyboard.press("r")
    shows(screen, "0:03")
    assert page.get_by_role("button", name="Stop recording 0:0").is_visible()
    assert "Recording" in page.inner_text("#announce")
    screen.save("record-live")
    assert not links(screen).count()
    button(screen).click()
    screen.until(lambda: links(screen).count())
    assert button(screen).inner_text().strip() == "Record"
    assert "ended" in page.inner_text("#announce")
    screen.save("record-done")

    found = [
        played(downloaded(screen, link, tmp_path / f"{index}.mp4"))
        for index, link in enumerate(links(screen).all())
    ]
    assert screen.page.evaluate("document.body.dataset.state") == "live", "it plays on"
    pictures, sounds, contrast, loudness = found[-1]
    assert sum(times[-1] - times[0] for times, *_ in found) > 2.5
    assert pictures[-1] - pictures[0] < 20
    steps = np.diff(pictures)
    assert steps.min() > 0
    assert np.median(steps) == pytest.approx(1 / 10, abs=0.02)
    assert contrast > 10, "there is something in the pictures"
    assert loudness > 0.01, "Chromium's fake microphone beeps"
    assert abs(pictures[-1] - sounds[-1]) < 0.3
    assert np.median(np.diff(sounds)) == pytest.approx(1024 / 48_000, abs=0.001)

    # A reload ends the session, and its recording with it: both are there afterwards.
    button(screen).click()
    shows(screen, "0:01")
    page.reload()
    screen.until(lambda: page.locator("#recordings li").count() == 2)
    played(downloaded(screen, links(screen).first, tmp_path / "after.mp4"))


def test_a_camera_goes_on_being_recorded_when_the_page_is_loaded_anew(
    open_screen, webcam, film_server, tmp_path
):
    screen = open_screen(webcam, url=film_server.url, accept_downloads=True)
    page = screen.page

    screen.watch("film")
    button(screen).click()
    shows(screen, "0:02")
    page.reload()
    assert not links(screen).count()
    screen.watch("film")
    shows(screen, "Stop")
    page.click("#stop")
    assert button(screen).is_disabled()
    assert not links(screen).count(), "it goes on, also when nobody watches it here"
    screen.start()
    shows(screen, "Stop")

    other = open_screen(webcam, url=film_server.url)
    other.watch("film")
    shows(other, "Stop")
    asked = []
    other.page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    button(other).click()
    other.until(lambda: asked)
    assert "begun elsewhere" in asked[0]
    shows(other, "Stop")

    button(screen).click()
    screen.until(lambda: links(screen).count())
    assert "Camera film" in page.inner_text("#recordings")
    pictures, *_ = played(downloaded(screen, links(screen).first, tmp_path / "film.mp4"))
    assert pictures[-1] > 2
    shows(other, "Record")
    assert not links(other).count(), "whoever has not begun it has nothing to fetch"


def test_why_it_cannot_be_recorded_is_said(open_screen, webcam):
    screen = open_screen(webcam)
    screen.start()
    screen.until(lambda: button(screen).get_attribute("aria-disabled") == "true")
    button(screen).click(force=True)
    toast = screen.page.locator(".toast[role=alert]")
    screen.until(lambda: "--record FOLDER" in toast.inner_text())
    assert button(screen).inner_text().strip() == "Record"
    toast.get_by_role("button").click()
    for refusal, told in (
        ({"status": 401, "json": {}}, "operator's token"),
        ({"json": {**IDLE, "possible": False}}, "--record FOLDER"),
        ({"json": {**IDLE, "allowed": False}}, "operator's token"),
    ):
        answered(screen, refusal)
        screen.until(lambda told=told: told in button(screen).get_attribute("title"))
        assert button(screen).get_attribute("aria-disabled") == "true"
    screen.page.keyboard.press("r")
    screen.until(lambda: "operator's token" in toast.inner_text())


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_full_disk_is_told_on_a_phone(open_screen, webcam, film_server, scheme):
    screen = open_screen(
        webcam,
        url=film_server.url,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        color_scheme=scheme,
    )
    page = screen.page
    screen.start()
    page.tap("#record")
    shows(screen, "0:01")
    full = {"possible": True, "allowed": True, "recording": {**DISK_FULL, "total_seconds": 1.2}}
    page.route("**/recording", lambda route: route.fulfill(json=full))
    toast = page.locator(".toast[role=alert]")
    screen.until(lambda: "the disk is full" in toast.inner_text())
    assert button(screen).get_attribute("data-recording") == "stopped"
    screen.save(f"record-full-{scheme}")
    page.unroute("**/recording")
    shows(screen, "Stop")
    page.tap("#record")
    screen.until(lambda: links(screen).count())
    toast.get_by_role("button").tap()
    links(screen).first.scroll_into_view_if_needed()
    screen.save(f"record-phone-{scheme}")
    for target in (button(screen), links(screen).first):
        box = target.bounding_box()
        assert box["height"] >= 44
        assert box["width"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


STUB = """
async () => {
  const { Recorder } = await import("/recorder.js");
  const { Recordings } = await import("/recordings.js");
  window.told = [];
  window.session = Object.assign(new EventTarget(), { place: "sessions/first" });
  window.becomes = (state) =>
    session.dispatchEvent(new CustomEvent("change", { detail: { state } }));
  const tell = (text) => told.push(text);
  const toasts = { note: tell, error: tell };
  new Recorder({ session, recordings: new Recordings(), toasts, announce: tell });
  becomes("live");
}
"""


def test_a_recording_that_ends_with_its_connection_is_told_of(page, site):
    page.route("**/main.js", lambda route: route.abort())  # it would listen too
    going = {"state": "recording", "total_seconds": 75.4}
    page.route(
        "**/sessions/first/recording",
        lambda route: route.fulfill(json={"possible": True, "allowed": True, "recording": going}),
    )
    page.goto(f"{site}/index.html")
    page.evaluate(STUB)
    page.wait_for_function("document.querySelector('#record').innerText.includes('1:15')")
    page.evaluate("becomes('lost')")
    assert "ended with the connection" in page.evaluate("told.at(-1)")
    assert page.locator("#record").inner_text().strip() == "Record"
    assert page.locator("#record").is_disabled()

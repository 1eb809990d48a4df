"""Publishing from the page: a session and a camera, to FFmpeg as RTMP server."""

import json

import pytest
from receiver_process import Process
from running_server import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def receiver(tmp_path):
    """Listens at its `url`; `again()` makes it do so once more."""

    class Receiver:
        url = f"rtmp://127.0.0.1:{free_port()}/live/s3cret-key"
        process = None

        def again(self):
            if self.process is not None:
                self.process.kill()
            picture = str(tmp_path / "picture.png")
            self.process = Process("stream_receiver.py", self.url, picture)

        def told(self):
            return [json.loads(line) for line in self.process.read()[1:]]

    receiver = Receiver()
    receiver.again()
    yield receiver
    receiver.process.kill()


def listed(screen):
    """What the page shows of each publication."""
    return screen.page.locator("#publications li").all_inner_texts()


def becomes(screen, text):
    screen.until(lambda: [shown for shown in listed(screen) if text in shown], timeout=60)


def test_a_session_is_published_with_its_sound_and_stopped(open_screen, webcam, receiver):
    screen = open_screen(webcam)
    page = screen.page
    assert not page.locator("#publications-panel").is_visible()
    page.check("#microphone")
    screen.start()
    assert not listed(screen)

    target = page.get_by_label("Address to publish to")
    target.fill("ftp://h/a")
    target.press("Enter")
    error = page.locator("#publish-error")
    screen.until(lambda: "rtsp://" in error.inner_text())
    assert error.get_attribute("role") == "alert"
    assert target.get_attribute("aria-invalid") == "true"
    assert target.input_value() == "ftp://h/a", "so that it can be mended"
    assert page.evaluate("document.activeElement.id") == "target-url"
    screen.save("publish-refused")

    target.fill(receiver.url)
    assert not error.is_visible()
    target.press("Enter")
    becomes(screen, "Live, with sound")
    assert "s3cret" not in page.content()
    assert target.input_value() == ""
    screen.until(lambda: len(receiver.told()) > 30)
    assert any("sound" in one for one in receiver.told())
    assert "Live" in page.locator("#announce").inner_text()
    screen.save("publish-live")

    receiver.process.kill()
    becomes(screen, "trying again in")
    screen.save("publish-waiting")
    receiver.again()
    becomes(screen, "Live, with sound")

    stop = page.get_by_role("button", name="Stop publishing to rtmp://127.0.0.1")
    stop.press("Enter")
    screen.until(lambda: not listed(screen))
    assert page.evaluate("document.activeElement.id") == "target-url"
    page.click("#stop")
    assert not page.locator("#publications-panel").is_visible()


def test_four_are_shown_and_the_fifth_is_refused(open_screen, webcam):
    screen = open_screen(webcam, viewport={"width": 390, "height": 800})
    screen.start()
    target = screen.page.get_by_label("Address to publish to")
    for number in range(4):
        target.fill(f"rtsp://user:s3cret@127.0.0.1:1/{number}")
        screen.page.click("#publish")
        screen.until(lambda: not target.input_value())
    target.fill("rtsp://user:s3cret@127.0.0.1:1/one-too-many")
    screen.page.click("#publish")
    screen.until(lambda: "4 targets" in screen.page.inner_text("#publish-error"))
    becomes(screen, "cannot be reached")
    assert len(listed(screen)) == 4
    assert "s3cret" not in "".join(listed(screen))
    screen.page.locator("#publications-panel").scroll_into_view_if_needed()
    screen.save("publish-narrow")


def test_a_camera_goes_on_being_published_when_the_page_is_gone(
    open_screen, webcam, film_server, receiver
):
    screen = open_screen(webcam, url=film_server.url)
    page = screen.page
    screen.watch("film")
    page.fill("#target-url", receiver.url)
    page.press("#target-url", "Enter")
    becomes(screen, "Live")
    assert "sound" not in "".join(listed(screen)), "cameras are read without"
    assert "camera film" in page.inner_text("#publications-hint")
    page.reload()
    screen.watch("film")
    becomes(screen, "Live")
    screen.save("publish-camera")
    before = len(receiver.told())
    screen.until(lambda: len(receiver.told()) > before + 20)
    page.get_by_role("button", name="Stop publishing").click()
    screen.until(lambda: not listed(screen))


def test_who_may_not_publish_a_camera_sees_where_it_goes_only(open_screen, webcam):
    screen = open_screen(webcam)
    page = screen.page
    there = {"id": "1", "url": "rtmp://host/live/***", "state": "live", "reason": "", "sound": True}
    told = {"publications": [{**there, "retry_in": None}], "allowed": False}
    page.route("**/publications", lambda route: route.fulfill(json=told))
    screen.start()
    becomes(screen, "Live, with sound")
    assert "Only who runs this server" in page.inner_text("#publications-hint")
    assert not page.locator("#publish-form").is_visible()
    assert not page.locator("#publications button").is_visible()
    told["allowed"] = True
    page.click("#stop")
    screen.start()
    becomes(screen, "Live, with sound")
    assert page.locator("#publish-form").is_visible()
    assert page.locator("#publications button").is_visible()

"""What a person is told, and what the page does by itself, when something is missing or breaks."""

import signal

import cv2
import numpy as np
import pytest
from measure import tint
from running_server import Server, free_port

CORNER = (0.05, 0.05)
RED = "#c81414"

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def alert(screen):
    return screen.page.locator(".toast[role=alert]").inner_text()


def test_no_camera(open_screen, launch):
    screen = open_screen(launch("--use-fake-ui-for-media-stream"))
    screen.page.click("#start")
    assert "None was found" in alert(screen)
    assert screen.page.evaluate("document.body.dataset.state") == "idle"
    assert screen.page.locator("#start").is_enabled()


def test_permission_denied(open_screen, launch):
    screen = open_screen(
        launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny")
    )
    screen.page.click("#start")
    assert "may not use it" in alert(screen)
    screen.save("denied")


def test_a_browser_without_webrtc(open_screen, webcam):
    screen = open_screen(webcam, init_script="delete window.RTCPeerConnection")
    screen.page.click("#start")
    assert "no WebRTC" in alert(screen)
    assert screen.page.evaluate("document.body.dataset.state") == "idle"
    assert not screen.page.evaluate("document.querySelector('#local').srcObject"), "no camera"
    assert screen.page.locator("#start").is_enabled()
    screen.save("no-webrtc")


def test_a_refused_offer_is_told(open_screen, webcam):
    screen = open_screen(webcam)
    screen.page.route("**/rtc", lambda route: route.fulfill(
        status=422, json={"error": {"code": "no_video", "message": "the offer has no video"}}
    ))  # fmt: skip
    screen.page.click("#start")
    screen.page.wait_for_selector("body[data-state=lost]")
    assert screen.page.inner_text("#lost-reason") == "the offer has no video"
    screen.page.wait_for_timeout(1500)  # it is final: no further try by itself
    assert screen.page.evaluate("document.body.dataset.state") == "lost"
    screen.page.unroute("**/rtc")
    screen.page.click("#reconnect")
    screen.live()


def test_a_dead_server_is_noticed_and_its_successor_found(open_screen, webcam, tmp_path):
    server = Server(free_port())
    server.start()
    try:
        screen = open_screen(webcam, server.url)
        screen.start()
        screen.page.keyboard.press("4")
        picture = tmp_path / "red.png"
        cv2.imwrite(str(picture), np.full((24, 32, 3), (20, 20, 200), np.uint8))
        screen.page.set_input_files("#upload", picture)
        screen.holds(lambda output, source: tint(output, source, CORNER, RED) > 0.7)
        screen.click((0.45, 0.46))
        screen.wait_objects(2)  # the person was found by itself when the background was hidden

        server.stop(signal.SIGKILL)
        screen.page.wait_for_selector("body[data-state=lost]")
        screen.save("lost")
        assert screen.objects() == []

        server.start()
        screen.live()
        assert "Connected again" in screen.page.locator(".toast").inner_text()
        # What hides the room comes back by itself, a picture of the person's own too.
        screen.holds(lambda output, source: tint(output, source, CORNER, RED) > 0.7)
    finally:
        server.stop()

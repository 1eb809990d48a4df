"""The page as a person uses it: by mouse, keys and touch, and by looking at the pictures."""

import base64
import time

import cv2
import numpy as np
import pytest
from running_server import ARTEFACTS

TIMEOUT = 30
"""Seconds until anything that is waited for must be there; slow machines connect in a few."""

MASKS = 90
"""Likewise, for pictures: while masks are late, as on a busy machine, all that an effect hides is
hidden whole."""

GRAB = """
() => ["#output", "#local"].map((selector) => {
  const video = document.querySelector(selector);
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png");
})
"""


class Screen:
    """One page of the program, as a person uses it."""

    def __init__(self, page, url):
        self.page = page
        self.faults = []
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._note)
        page.goto(url)

    def _note(self, message):
        # A refused request is logged by the browser too; the page tells the person itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def start(self):
        self.page.click("#start")
        self.live()

    def watch(self, camera):
        """One of the server's cameras."""
        value = f"camera:{camera}"
        self.page.wait_for_selector(f"#camera option[value='{value}']", state="attached")
        self.page.select_option("#camera", value)
        self.start()

    def live(self):
        self.page.wait_for_selector("body[data-state=live]")
        self.until(lambda: self.page.evaluate("document.querySelector('#output').videoWidth"))

    def until(self, check, timeout=TIMEOUT):
        """Wait until check() is truthy and return it; fail with its last value after `timeout`."""
        deadline = time.monotonic() + timeout
        while not (value := check()):
            if time.monotonic() > deadline:
                self.save("failed")
                toasts = self.page.locator(".toast").all_inner_texts()
                pytest.fail(f"still {value!r} after {timeout} s; messages on the page: {toasts}")
            self.page.wait_for_timeout(100)
        return value

    def pictures(self):
        """The returned picture and the camera's, RGB, at the camera's size."""
        output, local = map(decode, self.page.evaluate(GRAB))
        return cv2.resize(output, local.shape[1::-1], interpolation=cv2.INTER_LINEAR), local

    def holds(self, check, times=3):
        """Wait until check(output, source) held on `times` looks in a row."""
        seen = []

        def look():
            seen.append(check(*self.pictures()))
            return len(seen) >= times and all(seen[-times:])

        self.until(look, MASKS)

    def at(self, place, selector="#output"):
        """Client coordinates of a place, fractions of the picture that a video shows."""
        box = self.page.locator(selector).bounding_box()
        size = self.page.evaluate(
            "(s) => { const v = document.querySelector(s); return [v.videoWidth, v.videoHeight] }",
            selector,
        )
        scale = min(box["width"] / size[0], box["height"] / size[1])
        left = box["x"] + (box["width"] - size[0] * scale) / 2
        top = box["y"] + (box["height"] - size[1] * scale) / 2
        return left + place[0] * size[0] * scale, top + place[1] * size[1] * scale

    def click(self, place, selector="#output", **options):
        self.page.mouse.click(*self.at(place, selector), **options)

    def drag(self, start, end, drop=True):
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(end), steps=5)
        if drop:
            self.page.mouse.up()

    def objects(self):
        """Ids of the listed objects."""
        rows = self.page.locator("#objects li")
        return rows.evaluate_all("(rows) => rows.map((row) => Number(row.dataset.object))")

    def wait_objects(self, count):
        self.until(lambda: len(self.objects()) == count)
        return self.objects()

    def selected(self):
        rows = self.page.locator("#objects li:has([aria-pressed=true])")
        return int(rows.get_attribute("data-object")) if rows.count() else None

    def colour(self, object_id):
        return self.page.locator(f"[data-object='{object_id}']").get_attribute("data-colour")

    def stat(self, name):
        return self.page.locator(f"[data-stat={name}]").get_attribute("data-value")

    def save(self, name, **options):
        self.page.screenshot(path=ARTEFACTS / f"page-{name}.png", **options)


def decode(url):
    """RGB, of what GRAB returns for one."""
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

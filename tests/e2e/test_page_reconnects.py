"""The effect with a picture of one's own, when the page comes back to a new session."""

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.e2e

SESSION = """
async () => {
  const { Effects } = await import("/effects.js");
  class Session extends EventTarget {
    state = "live";
    id = "first";
    asked = [];
    request({ type, ...effect }) {
      this.asked.push(effect);
      return Promise.resolve({});
    }
  }
  window.session = new Session();
  window.effects = new Effects(window.session);
  const names = ["none", "overlay", "blur", "picture"];
  window.hello = { effects: names, backgrounds: ["room"], session: "camera" };
  await window.effects.offer(window.hello);
}
"""


@pytest.fixture
def page(page, site, tmp_path):
    """It has chosen a picture of its own; returns with what was asked for so far."""
    page.route("**/main.js", lambda route: route.abort())  # it would listen too
    page.goto(f"{site}/index.html")
    page.evaluate(SESSION)
    answer(page, "first", 200, {"background": "upload-1"})
    file = tmp_path / "red.png"
    cv2.imwrite(str(file), np.zeros((9, 16, 3), np.uint8))
    page.set_input_files("#upload", file)
    page.wait_for_function("session.asked.some(({ background }) => background === 'upload-1')")
    return page


def answer(page, session, status, body):
    page.route(
        f"**/sessions/{session}/background",
        lambda route: route.fulfill(status=status, json=body),
    )


def come_back(page):
    page.evaluate("""() => {
      session.id = "second";
      session.asked = [];
      return effects.offer(hello);
    }""")
    page.wait_for_timeout(200)
    return [(effect["name"], effect.get("background")) for effect in page.evaluate("session.asked")]


def test_the_room_is_hidden_until_the_picture_is_there(page):
    page.route(
        "**/sessions/second/background",
        lambda route: (
            page.wait_for_timeout(300),
            route.fulfill(status=200, json={"background": "upload-7"}),
        ),
    )
    assert come_back(page) == [("blur", None), ("picture", "upload-7")]


def test_the_room_stays_hidden_when_the_picture_is_refused(page):
    answer(page, "second", 503, {"error": {"code": "busy", "message": "no room"}})
    assert come_back(page)[-1] == ("blur", None)
    assert {name for name, _ in come_back(page)} == {"blur"}


def test_effects_without_a_picture_are_asked_for_as_they_were(page):
    answer(page, "second", 200, {"background": "upload-7"})
    page.evaluate("effects.chooseByIndex(1)")
    page.wait_for_timeout(100)
    assert {name for name, _ in come_back(page)} == {"overlay"}

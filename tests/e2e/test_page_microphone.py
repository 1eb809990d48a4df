"""The microphone is open while it is sent, and at no other time."""

import pytest

pytestmark = pytest.mark.e2e

SOURCES = """
async () => {
  const { Sources } = await import("/sources.js");
  navigator.mediaDevices.getUserMedia = async ({ audio }) => {
    const context = new AudioContext();
    const canvas = document.createElement("canvas");
    canvas.getContext("2d");
    const made = audio ? context.createMediaStreamDestination().stream : canvas.captureStream(1);
    return made;
  };
  document.querySelector("#microphone").checked = true;
  window.sources = new Sources();
  window.choose = async (value) => {
    document.querySelector("#camera").value = value;
    return sources.openCamera();
  };
}
"""


@pytest.fixture
def page(page, site):
    page.route("**/main.js", lambda route: route.abort())  # it would listen too
    page.route("**/cameras", lambda route: route.fulfill(json={"cameras": [{"name": "door"}]}))
    page.goto(f"{site}/index.html")
    page.evaluate(SOURCES)
    page.wait_for_selector("#camera option[value='camera:door']", state="attached")
    return page


def test_who_goes_over_to_a_camera_of_the_servers_is_heard_no_more(page):
    assert page.evaluate("choose('')")
    page.evaluate("sources.setMicrophone()")
    page.evaluate("window.heard = sources.audio")
    assert page.evaluate("heard.readyState") == "live"
    assert page.evaluate("choose('camera:door')")
    assert page.evaluate("heard.readyState") == "ended"
    assert page.evaluate("sources.audio") is None
    # And back, with the box still ticked.
    assert page.evaluate("choose('')")
    assert page.evaluate("sources.audio.readyState") == "live"

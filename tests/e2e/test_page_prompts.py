"""Where a person points on the page is where the server is told, in pixels of the source."""

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WIDTH, HEIGHT = 640, 480

RECORD = """
  const { send } = RTCDataChannel.prototype;
  document.sent = [];
  RTCDataChannel.prototype.send = function (text) {
    document.sent.push(JSON.parse(text));
    send.call(this, text);
  };
"""

SIDE_BARS = {"width": 1280, "height": 800}
BARS_ABOVE = {"width": 900, "height": 800}
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def screen_of(open_screen, webcam):
    def screen_of(viewport):
        screen = open_screen(webcam, viewport=viewport, init_script=RECORD)
        screen.start()
        return screen

    return screen_of


def wait_sent(screen, count):
    """The first `count` prompts that the page sent."""

    def enough():
        sent = screen.page.evaluate("document.sent")
        prompts = [message for message in sent if message["type"] in ("point", "box")]
        return prompts if len(prompts) >= count else None

    return screen.until(enough)


def near(place, slack):
    return pytest.approx((place[0] * WIDTH, place[1] * HEIGHT), abs=slack)


@pytest.mark.parametrize("viewport", [SIDE_BARS, BARS_ABOVE, PHONE])
def test_points_and_boxes_are_in_source_pixels(screen_of, viewport):
    screen = screen_of(viewport)
    page = screen.page
    places = [(0.2, 0.1), (0.7, 0.35), (0.3, 0.9)]
    screen.click(places[0])
    screen.click(places[1], button="right")
    screen.click(places[2], selector="#local")
    page.keyboard.press("s")
    screen.click(places[0], selector="#local")
    screen.click(places[2], selector="#output", button="right")
    sent = wait_sent(screen, 5)
    assert [point["positive"] for point in sent] == [True, False, True, True, False]
    slack = 2  # half a CSS pixel, and as much again for the page's rounding
    small = 0.75 * WIDTH / page.locator(".small").bounding_box()["width"] + slack
    expected = [places[0], places[1], places[2], places[0], places[2]]
    for point, place, within in zip(
        sent, expected, (slack, slack, small, slack, small), strict=True
    ):
        assert (point["x"], point["y"]) == near(place, within)

    # Drawn upwards and out of the picture: ordered, and cut off at its edge.
    screen.drag((0.6, 0.8), (0.3, -0.2))
    box = wait_sent(screen, 6)[-1]
    assert (box["x0"], box["y0"]) == near((0.3, 0), slack)
    assert (box["x1"], box["y1"]) == near((0.6, 0.8), slack)


def test_a_click_in_the_bars_is_no_point(screen_of):
    screen = screen_of(SIDE_BARS)
    screen.click((-0.05, 0.5))
    screen.click((0.5, 0.5))
    (point,) = wait_sent(screen, 1)
    assert (point["x"], point["y"]) == near((0.5, 0.5), 2)


def test_quick_clicks_are_for_one_object_and_new_object_begins_another(screen_of):
    screen = screen_of(SIDE_BARS)
    screen.click((0.45, 0.4))
    screen.click((0.5, 0.6))
    screen.page.keyboard.press("n")
    screen.click((0.8, 0.4))
    screen.click((0.85, 0.4))
    sent = wait_sent(screen, 4)
    first, second = screen.wait_objects(2)
    assert [point["object"] for point in sent] == [None, first, None, second]


def test_the_crosshair_points_in_source_pixels(screen_of):
    screen = screen_of(SIDE_BARS)
    page = screen.page
    page.focus("#stage")
    for keys in (
        ["ArrowRight"] * 4,  # from the centre, by 2.5 %
        ["Enter", "Shift+ArrowUp", "Shift+Enter"],
        ["b", *["ArrowLeft"] * 8, *["ArrowDown"] * 4, "Enter"],
        ["b", "ArrowLeft", "Escape", "Enter"],
    ):
        for key in keys:
            page.keyboard.press(key)
    plus, minus, box, last = wait_sent(screen, 4)
    assert (plus["x"], plus["y"], plus["positive"]) == (384, 240, True)
    assert (minus["x"], minus["y"], minus["positive"]) == (384, 237.6, False)
    assert [box[key] for key in ("x0", "y0", "x1", "y1")] == [256, 237.6, 384, 285.6]
    assert (last["type"], last["x"], last["y"]) == ("point", 240, 285.6)

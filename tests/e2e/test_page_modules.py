"""The page's pure modules, run in the browser that they are written for."""

import json

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def run(browser, site):
    """Evaluate an expression with a module of the page imported as `m`."""
    page = browser.new_page()
    page.goto(f"{site}/favicon.svg")

    def run(module, expression):
        return page.evaluate(f"async () => {{ const m = await import('/{module}'); {expression} }}")

    yield run
    page.close()


@pytest.mark.parametrize(
    ("box", "size", "area"),
    [
        ((0, 0, 800, 600), (640, 480), (0, 0, 800, 600)),
        ((10, 20, 1000, 480), (640, 480), (190, 20, 640, 480)),  # bars at the sides
        ((0, 0, 400, 800), (1280, 720), (0, 287.5, 400, 225)),  # bars above and below
    ],
)
def test_a_contained_picture_is_centred_at_its_own_shape(run, box, size, area):
    left, top, width, height = box
    found = run(
        "geometry.js",
        f"return m.contain({{left: {left}, top: {top}, width: {width}, height: {height}}},"
        f" {{width: {size[0]}, height: {size[1]}}})",
    )
    assert (found["left"], found["top"], found["width"], found["height"]) == area


def test_client_coordinates_become_source_pixels_and_come_back(run):
    area = "{left: 190, top: 20, width: 640, height: 480}"
    point = run("geometry.js", f"return m.toPicture(510, 140, {area})")
    assert point == {"u": 0.5, "v": 0.25}
    assert run("geometry.js", f"return m.toClient({{u: 0.5, v: 0.25}}, {area})") == {
        "x": 510,
        "y": 140,
    }
    size = "{width: 1280, height: 720}"
    assert run("geometry.js", f"return m.toSource({{u: 0.5, v: 0.25}}, {size})") == {
        "x": 640,
        "y": 180,
    }


@pytest.mark.parametrize(("x", "inside"), [(189, False), (190, True), (830, True), (831, False)])
def test_a_point_in_the_bars_is_outside(run, x, inside):
    area = "{left: 190, top: 20, width: 640, height: 480}"
    assert run("geometry.js", f"return m.isInside(m.toPicture({x}, 100, {area}))") is inside


def test_a_box_is_ordered_clamped_and_not_too_thin(run):
    size = "{width: 640, height: 480}"
    box = run("geometry.js", f"return m.sourceBox({{u: 0.75, v: -1}}, {{u: 0.25, v: 0.5}}, {size})")
    assert box == {"x0": 160, "y0": 0, "x1": 480, "y1": 240}
    thin = "{u: 0.5, v: 0}, {u: 0.503, v: 1}"
    assert run("geometry.js", f"return m.sourceBox({thin}, {size})") is None


def test_a_drag_begins_at_the_threshold(run):
    at = "m.isDrag({x: 0, y: 0}, {x: 3, y: %s}, 5)"
    assert run("geometry.js", f"return [{at % 3}, {at % 4}]") == [False, True]


def test_the_wait_before_reconnecting_doubles_up_to_a_limit(run):
    waits = run("session.js", "return [0, 1, 2, 3, 4, 50].map(m.backoff)")
    assert waits == [1000, 2000, 4000, 8000, 15000, 15000]


def test_browser_figures_come_from_the_nominated_pair_and_the_video(run):
    report = """new Map([
      ["a", {type: "candidate-pair", nominated: false, currentRoundTripTime: 9}],
      ["b", {type: "candidate-pair", nominated: true, currentRoundTripTime: 0.012}],
      ["c", {type: "inbound-rtp", kind: "audio"}],
      ["d", {type: "inbound-rtp", kind: "video", framesPerSecond: 29}],
    ])"""
    assert run("stats.js", f"return m.browserStats({report})") == {
        "round_trip": 12,
        "fps_shown": 29,
    }
    assert run("stats.js", "return m.browserStats(new Map())") == {
        "round_trip": None,
        "fps_shown": None,
    }


CHANNEL = """
  const channel = new EventTarget();
  channel.readyState = "open";
  channel.sent = [];
  channel.send = (text) => channel.sent.push(JSON.parse(text));
  const say = (message) => channel.dispatchEvent(
    new MessageEvent("message", { data: JSON.stringify(message) }));
  const control = new m.Control(channel);
"""


def test_answers_find_their_requests_in_any_order(run):
    result = run(
        "control.js",
        CHANNEL
        + """
        const first = control.request({ type: "undo" });
        const second = control.request({ type: "point", x: 1, y: 2 });
        const [one, two] = channel.sent;
        say({ type: "ok", id: two.id, object: 7 });
        say({ type: "error", id: one.id, code: "bad_input", message: "nothing to undo" });
        const refused = await first.catch((error) => [error.code, error.message]);
        return [channel.sent.map(({ type }) => type), (await second).object, refused];
        """,
    )
    assert result == [["undo", "point"], 7, ["bad_input", "nothing to undo"]]


def test_messages_that_answer_nothing_are_told_and_broken_ones_ignored(run):
    result = run(
        "control.js",
        CHANNEL
        + """
        const heard = [];
        control.addEventListener("state", ({ detail }) => heard.push(detail.objects));
        control.addEventListener("refused", ({ detail }) => heard.push(detail.message));
        channel.dispatchEvent(new MessageEvent("message", { data: "{" }));
        say({ type: "state", objects: [] });
        say({ type: "error", code: "limit", message: "too large" });
        return heard;
        """,
    )
    assert result == [[], "too large"]


def test_a_closed_channel_fails_what_waits_and_what_comes(run):
    result = run(
        "control.js",
        CHANNEL
        + """
        const waiting = control.request({ type: "clear" }).catch((error) => error.message);
        channel.readyState = "closed";
        channel.dispatchEvent(new Event("close"));
        const late = control.request({ type: "clear" }).catch((error) => error.message);
        return [await waiting, await late];
        """,
    )
    assert result == ["The connection was closed.", "Not connected."]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"state": "connecting", "reason": "", "retry_in": None, "sound": False}, "Connecting …"),
        ({"state": "live", "reason": "", "retry_in": None, "sound": True}, "Live, with sound"),
        ({"state": "live", "reason": "", "retry_in": None, "sound": False}, "Live"),
        (
            {"state": "waiting", "reason": "it cannot be reached", "retry_in": 2.1, "sound": False},
            "Waiting: it cannot be reached; trying again in 3 s",
        ),
        (
            {"state": "failed", "reason": "token is wrong", "retry_in": 0.0, "sound": False},
            "Failed: token is wrong; trying again in 1 s",
        ),
    ],
)
def test_what_a_publication_does_is_told_in_words(run, state, text):
    assert run("publications.js", f"return m.explain({json.dumps(state)})") == text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "0:00"), (59.9, "0:59"), (754, "12:34"), (3723, "1:02:03")]
)
def test_the_time_of_a_recording(run, seconds, shown):
    assert run("recorder.js", f"return m.clock({seconds})") == shown


@pytest.mark.parametrize(
    ("bytes", "shown"), [(0, "0 kB"), (425_100, "426 kB"), (3_449_000, "3.4 MB")]
)
def test_the_size_of_a_recording(run, bytes, shown):
    assert run("recordings.js", f"return m.size({bytes})") == shown

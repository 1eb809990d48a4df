"""Objects asked for by any phrase: the detector, its thread, and when a tracker asks it.

The detector is the real architecture with random weights; what it finds is not tested, only that
it is asked, and what becomes of its answer. That a phrase leads to the right thing is shown with
the published weights, which are not here.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from stream.cli import main
from stream.errors import Busy, ModelError, PromptError
from stream.frames import Frame
from stream.limits import MAX_FOUND, MAX_SEARCHES
from stream.prompts import Text
from stream.settings import Settings
from stream.track import detector, finder
from stream.track.detector import Found, chosen, prepared
from stream.track.finder import Finder
from stream.track.searches import PAUSE
from stream.track.tracker import Tracker
from stream.track.words import phrase, resolve
from stream.worker.launch import engine
from stream.worker.messages import AddPrompt, Done, Update
from stream.worker.supervisor import Supervisor
from tests import drawn_clips, tiny_detector
from tests.job_server import running
from tests.test_named import SIDE, BrightNetwork, image

MIDDLE = Found(0.25, 0.25, 0.75, 0.75, 0.9)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detector.write(tmp_path_factory.mktemp("detector"))


class StandIn:
    """Finds the middle of a bright picture, once `gate` is open. asked: the phrases."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.boxes = [MIDDLE]
        self.error: Exception | None = None

    def find(self, rgb: Any, aspect: float, text: str) -> list[Found]:
        self.asked.append(text)
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return self.boxes if rgb.mean() > 100 else []


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def waiting(stand_in: StandIn) -> Tracker:
    """A tracker as jobs have it."""
    return Tracker(BrightNetwork(), finder=Finder(lambda: stand_in, 30))  # type: ignore[arg-type]


@pytest.fixture
def live(stand_in: StandIn) -> Tracker:
    return Tracker(BrightNetwork(), finder=Finder(lambda: stand_in))  # type: ignore[arg-type]


def test_the_surest_boxes_count_and_each_thing_once() -> None:
    boxes = np.array([[0.5, 0.5, 0.2, 0.2], [0.5, 0.51, 0.2, 0.2], [0.9, 0.9, 0.4, 0.4]])
    found = chosen(boxes, np.array([0.6, 0.9, 0.55]))
    assert [box.score for box in found] == [0.9, 0.55]
    assert (found[1].x1, found[1].y1) == (1, 1)
    assert chosen(boxes, np.array([0.2, 0.1, 0.29])) == []
    assert [box.score for box in chosen(boxes, np.array([0.9, np.nan, 0.31]))] == [0.9]
    many = np.array([[i / 40, 0.5, 0.01, 0.5] for i in range(40)])
    assert len(chosen(many, np.full(40, 0.5))) == MAX_FOUND


@pytest.mark.parametrize(
    ("aspect", "shape"), [(16 / 9, (60, 100)), (1, (60, 60)), (0.75, (80, 60)), (0.1, (100, 60))]
)
def test_the_picture_gets_its_shape_back(aspect: float, shape: tuple[int, int]) -> None:
    pixels = prepared(np.full((64, 64, 3), 255, np.uint8), aspect, 60)
    assert pixels.shape == (1, 3, *shape)
    assert pixels[0, :, 0, 0] == pytest.approx((1 - detector.MEAN) / detector.DEVIATION)


def test_a_phrase_is_what_is_no_word() -> None:
    assert resolve("The Man", ("person",), phrases=True) == "person"
    assert resolve(" The RED  ball.\n", ("person",), phrases=True) == "the red ball"
    assert phrase("left. right.") == "left right"
    for text in ("...", "", "x" * 61):
        with pytest.raises(PromptError, match="cannot be looked for"):
            phrase(text)
    with pytest.raises(PromptError, match=r"segstream\[text\].*SEGSTREAM_TEXT_MODEL"):
        resolve("red ball", ("person",))
    with pytest.raises(PromptError, match=r"no words.*segstream\[text\]"):
        resolve("red ball", ())


def test_a_job_waits_and_every_picture_has_its_mask(waiting: Tracker, stand_in: StandIn) -> None:
    assert waiting.step(image(0, True), [Text(1, "Red ball")]).scores[0] > 0
    assert waiting.step(image(1, True)).scores[0] > 0
    assert stand_in.asked == ["red ball"]


def test_what_is_not_there_is_asked_for_again_now_and_then(
    waiting: Tracker, stand_in: StandIn
) -> None:
    for i in range(PAUSE + 2):
        assert waiting.step(image(i, False), [Text(1, "ball")] if i == 0 else ()).scores[0] <= 0
    assert len(stand_in.asked) == 2
    for i in range(PAUSE + 2, 2 * PAUSE + 2):
        found = waiting.step(image(i, True)).scores[0] > 0
    assert found
    assert len(stand_in.asked) == 3


def test_what_is_lost_is_asked_for_again(waiting: Tracker, stand_in: StandIn) -> None:
    network: Any = waiting.network
    waiting.step(image(0, True), [Text(1, "ball")])
    waiting.step(image(1, False))
    network.forgetful = True  # its memories no longer know it
    assert waiting.step(image(PAUSE - 1, True)).scores[0] <= 0  # so soon it is not asked again
    assert waiting.step(image(PAUSE, True)).scores[0] > 0
    assert len(stand_in.asked) == 2


def test_several_things_become_one_object(waiting: Tracker, stand_in: StandIn) -> None:
    network: Any = waiting.network
    together: list[Any] = []
    network.decode_mask = lambda features, mask: (
        together.append(mask),
        network._decoded(bool(mask.any())),
    )[1]
    stand_in.boxes = [MIDDLE, Found(0, 0, 0.1, 0.1, 0.8)]
    waiting.step(image(0, True), [Text(1, "ball")])
    assert together[-1].shape == (SIDE // 4, SIDE // 4)
    assert network.asked == [(2, 3), (2, 3)]


def until(step: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not step():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_live_picture_never_waits(live: Tracker, stand_in: StandIn) -> None:
    stand_in.gate.clear()
    assert live.step(image(0, True), [Text(1, "ball")]).scores[0] <= 0
    for i in range(1, 30):  # longer than any frame is kept
        assert live.step(image(i, True)).scores[0] <= 0
    assert live.object_ids == (1,)
    stand_in.gate.set()
    count = iter(range(30, 10_000))
    until(lambda: bool(live.step(image(next(count), True)).scores[0] > 0))
    assert stand_in.asked == ["ball"]


def test_an_answer_that_nobody_waits_for(live: Tracker, stand_in: StandIn) -> None:
    stand_in.gate.clear()
    live.step(image(0, True), [Text(1, "ball"), Text(2, "zebra")])
    until(lambda: len(stand_in.asked) == 1)
    live.remove(1)
    live.undo()
    stand_in.gate.set()
    assert live.step(image(1, True)).object_ids == ()


def test_a_search_that_fails_is_a_search_in_vain(live: Tracker, stand_in: StandIn) -> None:
    stand_in.error = RuntimeError("out of memory")
    live.step(image(0, True), [Text(1, "ball")])
    until(lambda: len(stand_in.asked) == 1)
    stand_in.error = None
    count = iter(range(1, 100_000))
    until(lambda: bool(live.step(image(next(count), True)).scores[0] > 0))


def test_a_job_is_told_of_a_search_that_fails(waiting: Tracker, stand_in: StandIn) -> None:
    stand_in.error = RuntimeError("out of memory")
    with pytest.raises(ModelError, match="failed: RuntimeError"):
        waiting.step(image(0, True), [Text(1, "ball")])


def test_a_detector_that_hangs_ends_a_job(stand_in: StandIn) -> None:
    stand_in.gate.clear()
    tracker = Tracker(BrightNetwork(), finder=Finder(lambda: stand_in, 0.1))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"took over 0\.1 s"):
        tracker.step(image(0, True), [Text(1, "ball")])
    stand_in.gate.set()


def test_a_detector_that_hangs_is_given_up_by_a_live_session(
    live: Tracker, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.gate.clear()
    live.step(image(0, True), [Text(1, "ball")])
    until(lambda: len(stand_in.asked) == 1)
    monkeypatch.setattr("stream.track.searches.SEARCH_TIMEOUT", 0.0)
    live.step(image(1, True))
    monkeypatch.undo()
    live.step(image(1 + PAUSE, True))  # asked again
    stand_in.gate.set()
    until(lambda: len(stand_in.asked) == 2)


def test_few_searches_wait(stand_in: StandIn) -> None:
    stand_in.gate.clear()
    asked = Finder(lambda: stand_in)
    asked.ask(image(0, True), "ball")
    until(lambda: len(stand_in.asked) == 1)
    for _ in range(MAX_SEARCHES):
        asked.ask(image(0, True), "ball")
    with pytest.raises(Busy):
        asked.ask(image(0, True), "ball")
    assert asked.busy == 1
    stand_in.gate.set()


def test_a_phrase_survives_a_snapshot(waiting: Tracker, stand_in: StandIn) -> None:
    waiting.step(image(0, False), [Text(1, "ball")])
    other = Tracker(BrightNetwork(), finder=Finder(lambda: stand_in, 30))  # type: ignore[arg-type]
    other.restore(waiting.snapshot())
    assert other.step(image(1, True)).scores[0] > 0


def test_what_is_missing_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"no folder /nowhere .*IDEA-Research/grounding-dino-tiny"):
        finder.start("/nowhere", None, "cpu", 0)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        finder.start(str(tmp_path), None, "cpu", 0)
    monkeypatch.setattr(detector.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'segstream\[text\]'"):
        finder.start(str(folder), None, "cpu", 0)


def test_what_cannot_be_loaded_is_told_to_whoever_asks(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    found = finder.start(str(tmp_path), 1, "cpu", 0)
    assert found is not None
    with pytest.raises(ModelError, match="cannot be loaded"):
        found.ask(image(0, True), "ball").result(60)
    tracker = Tracker(BrightNetwork(), finder=found)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="cannot be loaded"):
        tracker.step(image(0, True), [Text(1, "ball")])


def test_the_real_architecture(folder: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    loaded = detector.load(str(folder), 1, "cpu")
    first, *_ = found = loaded.find(rgb, 16 / 9, "a red ball")
    assert len(found) <= MAX_FOUND
    assert 0 <= first.x0 < first.x1 <= 1
    assert 0 <= first.y0 < first.y1 <= 1
    assert loaded.find(rgb, 16 / 9, "zebra " * 50) != found  # cut to what it reads


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Supervisor]:
    found = Supervisor(engine(Settings(text_model=str(folder), threads=1)))
    found.start()
    yield found
    found.stop()


def test_a_live_session_asks_in_the_worker(supervisor: Supervisor, tmp_path: Path) -> None:
    """The worker process loads nano and the detector, and what it finds becomes an object."""
    from stream.ingest.file import VideoFile

    assert supervisor.phrases
    reports: list[Any] = []
    supervisor.open("s", reports.append)
    supervisor.command("s", 1, AddPrompt(Text(1, "a red ball"), new=True))
    with VideoFile(drawn_clips.make(tmp_path / "v.mp4", count=5)) as video:
        frames = [item for item in video if isinstance(item, Frame)]

    def is_seen() -> bool:
        supervisor.submit("s", frames[len(reports) % len(frames)])
        time.sleep(0.05)
        updates = [report for report in reports if isinstance(report, Update)]
        return any(s.visible for update in updates for s in update.sightings)

    end = time.monotonic() + 90
    while not is_seen():
        assert time.monotonic() < end, reports[-3:]
    assert Done(1, None) in reports


def test_a_phrase_on_the_command_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(drawn_clips.make(tmp_path / "v.mp4", count=5))
    masks = str(tmp_path / "out.mp4")
    command = ["track", video, "--text", "a red ball", "--effect", "mask", "-q", "-o", masks]
    assert main(command) == 2
    assert "segstream[text]" in capsys.readouterr().err
    assert main([*command, "--text-model", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*command, "--text-model", str(folder)]) == 0
    assert len(drawn_clips.pictures(Path(masks))) == 5


async def test_a_phrase_over_rest(folder: Path, tmp_path: Path) -> None:
    video = drawn_clips.make(tmp_path / "v.mp4", count=5).read_bytes()
    async with (
        running(tmp_path / "data", SEGSTREAM_TEXT_MODEL=str(folder)) as server,
        aiohttp.ClientSession(server.base) as http,
    ):
        form = aiohttp.FormData({"prompt": "a red ball"})
        form.add_field("input_video", video, filename="v.mp4")
        async with http.post("/v1/sam-v2-video", data=form) as response:
            assert response.status == 200, await response.text()
            assert (await response.read())[4:8] == b"ftyp"
        form = aiohttp.FormData({"prompt": "..."})
        form.add_field("input_video", video, filename="v.mp4")
        async with http.post("/v1/sam-v2-video", data=form) as response:
            assert response.status == 422
            assert "cannot be looked for" in await response.text()


def test_a_session_takes_a_phrase_where_there_is_a_detector() -> None:
    from stream.server.control import hello

    assert '"phrases":true' in hello("s", "nano", (), (), phrases=True)
    assert "phrases" not in hello("s", "nano", (), ("person",))

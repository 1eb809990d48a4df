"""The objects of a session: by clicks, by words, and those that nobody asked for."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rtc_client import eventually
from session_stage import Stage, is_near, middle_and_corner

from stream import session_objects
from stream.compose.effects import Effect
from stream.errors import ModelError, UnknownObject
from stream.frames import Masks
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    AddText,
    Event,
    Rejected,
    Reset,
    SetEffect,
    Sighting,
    State,
)
from stream.prompts import Box, Point, Text
from stream.session_objects import MAX_NAMES, Asker, SessionObjects
from stream.worker.messages import AddPrompt, Command, Done, Update

Answers = list[tuple[Asker, Event]]

ONE = np.ones(1, np.float32)
FOUND = Update(Masks((1,), ONE[None, None], ONE, ONE, 0), (), True, 1.0, commanded=False)


class Refusing:
    """A tracker that does what it is asked for, or refuses it; knows one word."""

    words = ("person",)
    phrases = False

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.refuses = False

    def command(self, session: str, token: int, command: Command) -> None:
        if self.refuses:
            raise ModelError("there is no worker")
        self.asked.append(command)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Refusing:
    monkeypatch.setattr(session_objects, "ASKS_AGAIN", 0.01)
    return Refusing()


@pytest.fixture
def answers() -> Answers:
    return []


@pytest.fixture
def objects(tracker: Refusing, answers: Answers) -> SessionObjects:
    return SessionObjects("s", tracker, lambda *answer: answers.append(answer))


async def test_a_click_tints_the_object_alone(stage: Stage) -> None:
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(1, 1)
    state = (await stage.until(lambda: stage.told(State)))[-1]
    assert [sighting.object_id for sighting in state.objects] == [1]
    assert state.objects[0].visible
    assert state.can_undo
    middle, corner = middle_and_corner(await stage.pass_through())
    assert not is_near(middle, (220, 220, 220)), "tinted"
    assert is_near(corner, (30, 30, 30))


async def test_objects_get_new_numbers(stage: Stage) -> None:
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(1, 1)
    assert await stage.ask(AddPoint(31, 20, False, 1)) == Accepted(2, 1)
    assert await stage.ask(AddBox(16, 12, 48, 36, None)) == Accepted(3, 2)
    assert await stage.ask(Reset()) == Accepted(4)
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(5, 3)
    assert [sighting.object_id for sighting in stage.told(State)[-1].objects] == [3]


async def test_a_word_starts_an_object_with_its_usual_name(stage: Stage) -> None:
    stage.supervisor.words = ("cat", "person")
    answer = await stage.ask(AddText("the people"))
    assert answer == Accepted(1, 1)
    assert stage.tracker.prompts == [Text(1, "person")]
    await stage.until(lambda: stage.told(State) and stage.told(State)[-1].objects)
    assert stage.told(State)[-1].names == {1: "person"}
    answer = await stage.ask(AddText("zeppelin"))
    assert isinstance(answer, Rejected)
    assert "cat, person" in str(answer.error)


async def test_any_phrase_will_do_where_there_is_a_detector(stage: Stage) -> None:
    stage.supervisor.words, stage.supervisor.phrases = ("cat",), True
    assert await stage.ask(AddText("Kitten")) == Accepted(1, 1)
    assert await stage.ask(AddText("The red  ball.")) == Accepted(2, 2)
    assert stage.tracker.prompts == [Text(1, "cat"), Text(2, "the red ball")]
    await stage.until(lambda: stage.told(State) and len(stage.told(State)[-1].objects) == 2)
    assert stage.told(State)[-1].names == {1: "cat", 2: "the red ball"}
    answer = await stage.ask(AddText("..."))
    assert isinstance(answer, Rejected)


@pytest.mark.parametrize("effect", ["blur", "colour"])
async def test_who_hides_the_background_is_found_without_a_click(stage: Stage, effect: str) -> None:
    stage.supervisor.words = ("person",)
    await stage.ask(SetEffect(Effect("overlay")))
    assert not stage.engine.trackers
    await stage.ask(SetEffect(Effect(effect)))
    await stage.ask(Reset())
    assert stage.told(State)[-1].names == {1: "person"}


async def test_who_has_pointed_means_nobody_else(stage: Stage) -> None:
    stage.supervisor.words = ("person",)
    await stage.ask(AddPoint(30, 20, True, None))
    await stage.ask(Reset())
    await stage.ask(SetEffect(Effect("colour")))
    assert [prompt for prompt in stage.tracker.prompts if isinstance(prompt, Text)] == []


async def test_without_the_word_the_whole_picture_stays_hidden(stage: Stage) -> None:
    await stage.ask(SetEffect(Effect("colour")))
    assert not [event for event in stage.told(Rejected) if event.number is None]
    assert stage.told(State)[-1].names == {}


async def test_names_do_not_pile_up(stage: Stage) -> None:
    stage.supervisor.words = ("person",)
    for number in range(MAX_NAMES + 5):
        stage.session.request(number, AddText("person"))
    assert len(stage.session.state.names) <= MAX_NAMES


async def test_answers_go_to_who_asked(
    objects: SessionObjects, tracker: Refusing, answers: Answers
) -> None:
    asker = [].append
    objects.point_at(7, AddBox(1, 2, 3, 4, None), 5, asker)
    objects.point_at(8, AddPoint(1, 2, False, 1), None, None)
    assert tracker.asked == [
        AddPrompt(Box(1, 1, 2, 3, 4), True, 5),
        AddPrompt(Point(1, 1, 2, False), False, None),
    ]
    unknown = UnknownObject("no object 1")
    objects.done(Done(1, unknown))
    objects.done(Done(0, None))
    assert answers == [(None, Rejected(8, unknown)), (asker, Accepted(7, 1))]


async def test_only_news_are_shown(objects: SessionObjects) -> None:
    seen = Update(None, (Sighting(1, True, 0.1),), True, 1.0, commanded=False)
    assert objects.found(seen)
    assert not objects.found(replace(seen, sightings=(Sighting(1, True, 0.2),), received=2.0))
    assert objects.found(replace(seen, sightings=(Sighting(1, False, 0.2),)))
    assert objects.found(replace(objects.tracked, commanded=True))


async def test_the_person_is_asked_for_until_found(
    objects: SessionObjects, tracker: Refusing, answers: Answers
) -> None:
    tracker.refuses = True
    objects.find_person()
    assert isinstance(answers[0][1], Rejected)
    await asyncio.sleep(0.05)
    tracker.refuses = False
    await eventually(lambda: tracker.asked)
    assert len(answers) == 1, "only the first refusal is told"
    objects.found(FOUND)
    objects.ask_later()
    await asyncio.sleep(0.05)
    assert len(tracker.asked) == 1


@pytest.mark.parametrize(
    "end", [lambda objects: objects.close(), lambda objects: objects.change(1, Reset(), None)]
)
async def test_nothing_is_asked_for_again_after(
    objects: SessionObjects, tracker: Refusing, end: Callable[[SessionObjects], None]
) -> None:
    objects.ask_for(None, "person")
    objects.ask_later()
    end(objects)
    objects.ask_later()
    await asyncio.sleep(0.05)
    assert AddPrompt(Text(2, "person"), new=True) not in tracker.asked


async def test_what_somebody_asked_for_is_not_asked_for_again(
    objects: SessionObjects, tracker: Refusing
) -> None:
    objects.ask_for(1, "person")
    objects.ask_later()
    await asyncio.sleep(0.05)
    assert len(tracker.asked) == 1

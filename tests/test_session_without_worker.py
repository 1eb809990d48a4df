"""A session whose tracker has given up: nothing that is asked of it ends anything else."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_tracker import BrightEngine, bright_supervisor
from rtc_client import eventually

from stream.compose.effects import Effect
from stream.errors import ModelError
from stream.messages import Accepted, Event, Rejected, Reset, SetEffect
from stream.prompts import Text
from stream.session import Session
from stream.track.finder import Finder
from stream.worker.messages import AddPrompt, Failed
from stream.worker.supervisor import Supervisor


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    engine = BrightEngine()
    engine.words = ("person",)
    made = bright_supervisor(engine)
    await asyncio.to_thread(made.start)
    made._streams.give_up(ModelError("the tracker's process keeps failing"))
    yield made
    await asyncio.to_thread(made.stop)


async def test_effects_are_still_set(supervisor: Supervisor) -> None:
    """One that hides the background asks for the person, which is refused now."""
    told: list[Event] = []
    with ThreadPoolExecutor(1) as pool:
        session = Session("s", supervisor, pool, told.append)
        session.start()
        for number, effect in enumerate((Effect("blur"), Effect("colour")), 1):
            session.request(number, SetEffect(effect))
            await eventually(lambda number=number: Accepted(number) in told)
            assert session.state.effect == effect
        refused = [event for event in told if isinstance(event, Rejected)]
        assert len(refused) == 2, "told each time, and asked for again with the next effect"
        assert "keeps failing" in str(refused[0].error)
        await session.close()


async def test_what_begins_with_an_effect_begins(supervisor: Supervisor) -> None:
    """Else a camera that is added then would never be read."""
    with ThreadPoolExecutor(1) as pool:
        session = Session("s", supervisor, pool)
        session.start()
        await session.begin_with((Effect("blur"),))
        assert session.state.effect == Effect("blur")
        await session.close()


async def test_what_nobody_is_there_to_ask_for_is_asked_for_again(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera's word and the person before a background; not what somebody has taken away."""
    monkeypatch.setattr("stream.session_objects.ASKS_AGAIN", 0.05)
    asked: list[AddPrompt] = []
    command, is_broken = supervisor.command, True

    def record(session: str, token: int, prompt: AddPrompt) -> None:
        if is_broken:
            command(session, token, prompt)
        asked.append(prompt)

    monkeypatch.setattr(supervisor, "command", record)
    with ThreadPoolExecutor(1) as pool:
        session = Session("s", supervisor, pool)
        session.start()
        await session.begin_with((Effect("blur"),))
        await asyncio.sleep(0.2)
        assert not asked
        is_broken = False
        await eventually(lambda: asked)
        session._report(Failed(ModelError("the tracker's process keeps failing")))
        await eventually(lambda: len(asked) == 2)
        assert [prompt.prompt.word for prompt in asked if isinstance(prompt.prompt, Text)] == [
            "person",
            "person",
        ]
        session.request(1, Reset())
        await eventually(lambda: len(asked) == 3)
        session._report(Failed(ModelError("the tracker's process keeps failing")))
        await asyncio.sleep(0.2)
        assert len(asked) == 3
        await session.close()


async def test_refusals_keep_nothing_of_those_before(supervisor: Supervisor) -> None:
    supervisor.open("s", lambda report: None)

    def load() -> None:
        raise ModelError("no such detector")

    finder = Finder(load)  # type: ignore[arg-type]
    await eventually(lambda: finder._error)
    for refuse in (lambda: supervisor.command("s", 1, Reset()), finder.check):
        lengths = set()
        for _ in range(3):
            with pytest.raises(ModelError) as error:
                refuse()
            lengths.add(len(traceback.extract_tb(error.value.__traceback__)))
        assert len(lengths) == 1

"""Room for all that one server may have at once."""

from typing import Any

from stream.limits import MAX_CAMERAS, MAX_SESSIONS
from stream.worker import wire
from stream.worker.admission import Admission
from stream.worker.streams import Streams, Worker


def test_all_sessions_and_all_cameras_have_a_place_in_the_worker() -> None:
    """One without would never get a mask, nor an answer to any click, and nobody would say why."""
    nothing: Any = None
    streams = Streams(Admission(5))
    streams.adopt(Worker(nothing, 384, nothing))
    for number in range(MAX_SESSIONS + MAX_CAMERAS):
        streams.open(f"session {number}", lambda report: None)
    mail = streams.mail()
    assert mail is not None
    opened = [message for message in mail.messages if isinstance(message, wire.Open)]
    assert len({message.slot for message in opened}) == MAX_SESSIONS + MAX_CAMERAS

"""A key's leave for one live session, which counts among its sessions and minutes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


def _not_begun(reason: str) -> None:
    pass


@dataclass(slots=True, eq=False)
class Lease:
    """id: in the database. owner: the key's id. release: to be called when the session is over.
    end: ends the session, with a reason; set once it has begun."""

    id: str
    owner: str
    release: Callable[[], Awaitable[None]]
    end: Callable[[str], None] = _not_begun

"""How the worker is, as its supervisor sees it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "ready", "restarting", "failed", "stopped"]
"""failed: it died too often; the next attempt is a while away."""


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """silent: seconds since the present worker said something; None: there is none. limit: seconds
    of silence after which it is replaced. restarts: since the server started."""

    state: State
    silent: float | None
    limit: float
    restarts: int

"""What one session is published to: targets come and go while it runs."""

import functools
import itertools

from aiohttp import web

from stream.egress.publication import Failure
from stream.egress.publisher import Carrier, MuxerCarrier, Publisher, Refused
from stream.egress.target import Kind, Target, check_available
from stream.errors import LimitError
from stream.limits import MAX_PUBLICATIONS
from stream.network import Network
from stream.server.addresses import ANYWHERE, Allowed, look_up
from stream.server.whip_publisher import WhipCarrier
from stream.session import Session


class Publications:
    """name: of the camera or session, for the log."""

    def __init__(self, name: str, session: Session, network: Network) -> None:
        self._name = name
        self._session = session
        self._network = network
        self._publishers: dict[str, Publisher] = {}
        self._ids = itertools.count(1)

    def add(self, target: Target, allowed: Allowed = ANYWHERE) -> str:
        """Begin to publish; returns the publication's id. allowed: where the target may be.

        Raises InputError where that cannot be from here, LimitError, Busy.
        """
        check_available(target)
        if len(self._publishers) >= MAX_PUBLICATIONS:
            raise LimitError(f"{self._name} has {MAX_PUBLICATIONS} targets already; end one first")
        self._session.enter()
        publisher = Publisher(self._name, target, self._carrier(target, allowed))
        publisher.start()
        id = str(next(self._ids))
        self._publishers[id] = publisher
        return id

    async def remove(self, id: str) -> None:
        """End one and wait until all is free. Raises aiohttp's HTTPNotFound."""
        self.state(id)
        await self._close(self._publishers.pop(id))

    async def close(self) -> None:
        while self._publishers:
            await self._close(self._publishers.popitem()[1])

    def state(self, id: str) -> dict[str, object]:
        """Raises aiohttp's HTTPNotFound."""
        if id not in self._publishers:
            raise web.HTTPNotFound(text=f"{self._name} has no publication {id[:20]}")
        return {"id": id, **self._publishers[id].state()}

    def states(self) -> list[dict[str, object]]:
        return [self.state(id) for id in self._publishers]

    def phases(self) -> list[str]:
        return [str(publisher.progress.phase) for publisher in self._publishers.values()]

    async def _close(self, publisher: Publisher) -> None:
        await publisher.close()
        self._session.leave()

    def _carrier(self, target: Target, allowed: Allowed) -> Carrier:
        match target.kind:
            case Kind.WHIP:
                return WhipCarrier(target, self._session, self._network, allowed)
            case Kind.V4L2:
                from stream.egress.virtual_camera import CameraCarrier

                return CameraCarrier(target, self._session)
        if allowed is ANYWHERE or allowed.host(target.host):
            return MuxerCarrier(target, self._session)
        found = functools.partial(find, target.host, allowed)
        return MuxerCarrier(target, self._session, found)


async def find(host: str, allowed: Allowed) -> list[str]:
    """Its addresses, if all are allowed. Raises Refused."""
    found = await look_up(host)
    if not found:
        raise Refused(Failure.UNREACHABLE, "its name is not known")
    if not all(map(allowed.address, found)):
        raise Refused(Failure.FORBIDDEN)
    return found

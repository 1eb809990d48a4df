"""Where a stream goes besides to those who watch it: into files, and to other servers."""

from dataclasses import dataclass

from stream.server.publications import Publications
from stream.server.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Outlets:
    """Of one camera or session."""

    recorder: Recorder
    publications: Publications

    async def close(self) -> None:
        """End all of it and wait until it is free."""
        await self.publications.close()
        await self.recorder.stop()

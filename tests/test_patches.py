"""What is changed in aiortc and aioice, and that it is still needed."""

import asyncio
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from aioice import ice

from stream.server import patches
from stream.server.patches import addresses, round_trip

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("patched")


def test_loopback_is_offered_which_aioice_does_not() -> None:
    patches.apply()
    assert "127.0.0.1" in ice.get_host_addresses(True, False)
    assert "127.0.0.1" not in addresses.original(True, False), "the patch can go"


async def test_how_far_away_a_peer_is_which_aioice_does_not_say() -> None:
    ours, theirs = ice.Connection(ice_controlling=False), ice.Connection(ice_controlling=True)
    try:
        for connection, other in ((ours, theirs), (theirs, ours)):
            await connection.gather_candidates()
            for candidate in connection.local_candidates:
                await other.add_remote_candidate(candidate)
            await other.add_remote_candidate(None)
            other.remote_username = connection.local_username
            other.remote_password = connection.local_password
        transport = SimpleNamespace(transport=SimpleNamespace(_connection=ours))
        assert round_trip.seconds(transport) is None
        async with asyncio.timeout(10):
            await asyncio.gather(ours.connect(), theirs.connect())
        known = round_trip.seconds(transport)
        assert known is not None
        assert 0 < known < 0.5
        assert not hasattr(ours, "round_trip_time"), "the patch can go when aioice says it"
    finally:
        await ours.close()
        await theirs.close()


@pytest.mark.parametrize("library", ["aiortc", "aioice"])
def test_the_changes_are_for_the_versions_that_may_be_installed(library: str) -> None:
    """What the texts name, pyproject.toml allows, and the tests run with."""
    sources = [path.read_text("utf-8") for path in (ROOT / "stream").rglob("*.py")]
    named = re.findall(rf"{library} (\d+)\.(\d+)", "".join(sources))
    [(major, minor)] = set(named)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"{library}>={major}.{minor},<{major}.{int(minor) + 1}" in requirements
    assert version(library).startswith(f"{major}.{minor}.")

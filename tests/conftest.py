"""For all tests: torch on one thread, set before anything imports it, and a folder of data.

Torch's threads wait in a spin, which on a busy machine costs everybody dearly.
"""

import atexit
import os
import shutil
import tempfile

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
# Not the cameras of who runs the tests.
os.environ["XDG_CONFIG_HOME"] = f"{tempfile.gettempdir()}/segstream-tests-{os.getpid()}"

os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="segstream-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright's event loop stays in the thread that asyncio tests need."""
    items.sort(key=lambda item: "e2e" in item.path.parts)

"""The page of a server whose live sessions need a session token."""

import json
import urllib.request

import pytest
from running_server import Server, free_port

from stream.database import Database
from stream.server.keys import Keys

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def guarded(artefacts, tmp_path):
    server = Server(free_port(), SEGSTREAM_DATA=str(tmp_path), SEGSTREAM_SESSION_KEYS="all")
    server.start()
    yield server
    server.stop()


def token(server, folder):
    database = Database(folder)
    key = Keys(database).create("page")
    database.close()
    request = urllib.request.Request(
        f"{server.url}/session-tokens", method="POST", headers={"x-api-key": key}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)["token"]


def test_the_page_is_opened_with_a_token(open_screen, webcam, guarded, tmp_path):
    without = open_screen(webcam, url=guarded.url)
    without.page.click("#start")
    without.until(lambda: "POST /session-tokens" in without.page.inner_text("body"))
    without.page.close()

    screen = open_screen(webcam, url=f"{guarded.url}/?token={token(guarded, tmp_path)}&effect=none")
    screen.start()
    assert screen.page.url == f"{guarded.url}/?effect=none"  # nobody passes the token on
    screen.page.reload()
    screen.start()

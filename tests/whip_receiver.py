"""A receiver for tests: this program's own WHIP endpoint, in a process that can be killed.

Run as whip_receiver.py PORT [TOKEN].
"""

import sys

from aiohttp import web
from fake_tracker import bright_supervisor

from stream.server.app import create_app
from stream.settings import Settings


def main(port, token=None):
    app = create_app(Settings(token=token), bright_supervisor())
    web.run_app(app, host="127.0.0.1", port=int(port), print=lambda _: None)


if __name__ == "__main__":
    main(*sys.argv[1:])

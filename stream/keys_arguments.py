"""The arguments of `segstream keys`; what they do is in stream.keys_command."""

import argparse
from pathlib import Path
from typing import Any

from stream import options

HELP = """\
Keys of programs that call the server, and the credits that their videos cost.

  segstream keys create NAME      a new key, shown once
  segstream keys list             all keys, with what they have left
  segstream keys revoke ID        the key is refused from now on
  segstream keys credit ID N      add N credits, one for each second of video

While there is no key, a server on 127.0.0.1 asks for none; any other server always does.
"""


def add(commands: Any) -> None:
    """Add the command to the subparsers of `segstream`."""
    keys = commands.add_parser(
        "keys",
        help="keys and credits of programs that call the server",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    keys.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="of keys and jobs (default: the setting 'data', else the user's folder for data)",
    )
    options.add_file(keys)
    actions = keys.add_subparsers(title="actions", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="a new key, shown once")
    create.add_argument("name", metavar="NAME", help="whose it is, for the list")
    create.add_argument(
        "--credits", type=float, metavar="N", help="seconds of video (default without limit)"
    )
    create.add_argument("--jobs", type=int, default=4, metavar="N", help="jobs at once (default 4)")
    create.add_argument(
        "--sessions", type=int, default=4, metavar="N", help="live sessions at once (default 4)"
    )
    create.add_argument(
        "--minutes-a-day",
        type=float,
        metavar="N",
        help="of video and live sessions together (default without limit)",
    )
    create.set_defaults(run=_run("create"))
    actions.add_parser("list", help="all keys").set_defaults(run=_run("table"))
    revoke = actions.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", metavar="ID")
    revoke.set_defaults(run=_run("revoke"))
    credit = actions.add_parser(
        "credit",
        help="add credits to a key, or take some with -N; one without limit has just these then",
    )
    credit.add_argument("id", metavar="ID")
    credit.add_argument("seconds", type=float, metavar="N")
    credit.set_defaults(run=_run("credit"))


def _run(action: str) -> Any:
    def run(arguments: argparse.Namespace) -> int:
        from stream import keys_command  # SQLite, only when it is used

        print(keys_command.run(action, arguments))
        return 0

    return run

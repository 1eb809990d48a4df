"""The command `segstream`: its arguments, its errors in one line, its exit codes.

0 done, 1 a fault of the program, 2 an error of the user's or the file's, 130 Ctrl-C, 143 SIGTERM.
What is heavy is imported when a command runs, so that --help answers at once.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from stream import __version__, keys_arguments, options
from stream.compose.effects import EFFECTS
from stream.errors import InputError, SegstreamError
from stream.settings import CAMERAS, JOBS, NETWORK, OPERATION, REACH, SERVER

TRACK_HELP = """\
Track what you point at through a video file, and write the video with an effect on it.

a prompt is                                for example
  --point     [OBJECT:]X,Y[@TIME]          --point 320,240
  --negative  [OBJECT:]X,Y[@TIME]          --negative 400,90@1.5
  --box       [OBJECT:]X0,Y0,X1,Y1[@TIME]  --box 2:40,60,200,300@0:12
  --mask      [OBJECT:]FILE[@TIME]         --mask dog.png

X and Y are pixels of the picture as you see it, from its upper left corner. TIME is in seconds
or minutes:seconds after the first picture; without it a prompt is for the first picture. OBJECT is
a number: prompts with the same number are for the same object, and without one for object 1.
"""

TRACK_EXAMPLES = """\
examples:
  segstream track dog.mp4 --point 640,360 -o out.mp4
  segstream track dog.mp4 --box 500,200,800,700 --effect blur --strength 0.8 -o out.mp4
  segstream track two.mp4 --point 1:320,240 --point 2:90,80 --effect blur \\
      --effect pixelate:objects=2 -o out.mp4
  segstream track two.mp4 --point 1:200,300 --point 2:900,300@2.5 -o out.mp4
  segstream track talk.mkv --point 320,300 --background beach.jpg -o out.webm
"""

MODELS_HELP = """\
The models that serve and track take with --model, and where their weights are.

  segstream models list           all models, what each needs, what is downloaded
  segstream models pull NAME      download a model's weights; a broken download is gone on with
  segstream models verify [NAME]  compare what is there with the published files

Exit code 2: something is missing or damaged; the message says how to mend it.
"""

CAMERA_HELP = """\
The cameras that the server reads, each a stream of its own that goes on without a viewer.

  segstream camera add door rtsp://user:password@10.0.0.5/stream1 --effect blur --text person
  segstream camera effect door blur pixelate:objects=2
  segstream camera list
  segstream camera remove door

They are kept in the file that the setting 'cameras' names, by default cameras.json in the folder
for settings, which a running server follows.
"""

X264_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip


class Terminated(BaseException):
    """SIGTERM or SIGHUP, raised in the main thread so that files are cleaned up."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    try:
        arguments = _parser().parse_args(argv)
        return int(arguments.run(arguments))
    except SegstreamError as error:
        print(f"segstream: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Terminated:
        return 128 + signal.SIGTERM


def _parser() -> Parser:
    parser = Parser(
        prog="segstream",
        description="Point at a thing in a video and get the video back with it tracked.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"segstream {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_track(commands)
    _add_models(commands)
    _add_camera(commands)
    keys_arguments.add(commands)
    _add_config(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[Parser]") -> None:
    serve = commands.add_parser(
        "serve",
        help="the page and the live streams, for a browser",
        description="Serve the page on which a camera's picture is tracked live. "
        "An option that is not given is taken from its environment variable, then from the "
        "configuration file.",
        allow_abbrev=False,
    )
    options.add(serve, SERVER, NETWORK, REACH, CAMERAS, JOBS, OPERATION)
    serve.set_defaults(run=_serve)


def _add_track(commands: "argparse._SubParsersAction[Parser]") -> None:
    track = commands.add_parser(
        "track",
        help="a video file, every picture with its own mask",
        description=TRACK_HELP,
        epilog=TRACK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    track.add_argument("input", metavar="IN", help="the video")
    track.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="ends in .mp4, .mov, .mkv or .webm"
    )
    prompts = track.add_argument_group("what to track, at least one")
    for name, text in (
        ("point", "is on the object"),
        ("negative", "is not on the object"),
        ("box", "encloses the object"),
        ("mask", "is white where the object is"),
        ("text", "is what the object is called, such as person"),
    ):
        prompts.add_argument(
            f"--{name}", metavar="PROMPT", action="append", default=[], help=f"{text}; repeatable"
        )
    look = track.add_argument_group("what to do with it")
    look.add_argument(
        "--effect",
        metavar="NAME[:FIELD=VALUE…]",
        action="append",
        default=[],
        help=f"{', '.join(EFFECTS)} (default overlay, or picture with --background); repeatable, "
        "the first at the bottom; a FIELD is one of the options below for this effect alone",
    )
    look.add_argument("--strength", help="of most effects, 0 to 1 (default 0.5)")
    look.add_argument(
        "--colour",
        metavar="#RRGGBB",
        help="of colour (default green), overlay, contour and glow (default: each object its own)",
    )
    look.add_argument(
        "--background",
        metavar="NAME|FILE",
        help="of the effects picture and video: a PNG, JPEG, WebP, or a video",
    )
    look.add_argument(
        "--target", metavar="WHAT", help="object, background or both (default: what is usual)"
    )
    look.add_argument("--objects", metavar="ID,…", help="which it is for (default all)")
    look.add_argument("--fit", metavar="HOW", help="of a background: cover (default) or contain")
    look.add_argument("--position", metavar="X,Y", help="of a background, 0 to 1 (default 0.5,0.5)")
    options.add(track, NETWORK)
    track.add_argument(
        "--crf", type=int, default=20, help="quality, 0 best to 51 smallest (default 20)"
    )
    track.add_argument(
        "--preset",
        choices=X264_PRESETS,
        default="veryfast",
        metavar="NAME",
        help="slower makes smaller H.264: ultrafast … veryslow (default veryfast)",
    )
    track.add_argument("-y", "--overwrite", action="store_true", help="replace OUT if it exists")
    track.add_argument("-q", "--quiet", action="store_true", help="only errors are printed")
    track.set_defaults(run=_track)


def _add_models(commands: "argparse._SubParsersAction[Parser]") -> None:
    models = commands.add_parser(
        "models",
        help="which models there are, and their weights",
        description=MODELS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = models.add_subparsers(title="actions", required=True, metavar="ACTION")
    actions.add_parser("list", help="all models").set_defaults(run=_models_list)
    pull = actions.add_parser("pull", help="download the weights of one")
    pull.add_argument("name", metavar="NAME")
    pull.set_defaults(run=_models_pull)
    verify = actions.add_parser("verify", help="compare weights with the published ones")
    verify.add_argument("names", metavar="NAME", nargs="*", help="default: all that are there")
    verify.set_defaults(run=_models_verify)


def _add_camera(commands: "argparse._SubParsersAction[Parser]") -> None:
    camera = commands.add_parser(
        "camera",
        help="which cameras the server reads",
        description=CAMERA_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = camera.add_subparsers(title="actions", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="read one more", allow_abbrev=False)
    add.add_argument("name", metavar="NAME", help="letters, digits, - and _")
    add.add_argument("url", metavar="URL", help="rtsp://, rtsps://, http://, https:// or a file")
    add.add_argument(
        "--transport",
        default="auto",
        metavar="NAME",
        help="of RTSP: auto (TCP, else UDP), tcp, or udp (else TCP); default auto",
    )
    add.add_argument(
        "--effect",
        metavar="NAME[:FIELD=VALUE…]",
        action="append",
        default=[],
        help="as of segstream track (default overlay); repeatable, the first at the bottom",
    )
    add.add_argument("--text", default="", metavar="WORD", help="what to track, such as person")
    add.add_argument(
        "--loop",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="play a file again when it ends (default yes)",
    )
    add.add_argument(
        "--sound",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read its sound too, if it has any (default yes)",
    )
    add.add_argument("--record", action="store_true", help="into the server's --record folder")
    add.add_argument(
        "--publish",
        metavar="URL",
        action="append",
        default=[],
        help="send the composited stream to rtsp://, rtmp://, srt://, http:// (WHIP) or "
        "v4l2:///dev/videoN as well; repeatable",
    )
    add.set_defaults(run=_camera_add)
    effect = actions.add_parser("effect", help="show it with other effects, while it is live too")
    effect.add_argument("name", metavar="NAME")
    effect.add_argument(
        "effect", metavar="NAME[:FIELD=VALUE…]", nargs="+", help="the first at the bottom"
    )
    effect.set_defaults(run=_camera_effect)
    listed = actions.add_parser("list", help="all cameras")
    listed.set_defaults(run=_camera_list)
    remove = actions.add_parser("remove", help="read it no longer")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=_camera_remove)
    for action in (add, effect, listed, remove):
        options.add_file(action)


def _add_config(commands: "argparse._SubParsersAction[Parser]") -> None:
    config = commands.add_parser(
        "config",
        help="print a configuration file with every setting, its meaning and its default",
        description="Print a configuration file with every setting, its meaning and its default: "
        "segstream config > segstream.toml",
        allow_abbrev=False,
    )
    config.set_defaults(run=_config)


def _serve(arguments: argparse.Namespace) -> int:
    from stream.server.app import run

    settings = options.settings(arguments)
    try:
        run(settings)
    except OSError as error:
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}"
        ) from error
    return 0


def _track(arguments: argparse.Namespace) -> int:
    from stream.track_command import track

    with _termination_raised():
        track(arguments, options.settings(arguments))
    return 0


def _models_list(arguments: argparse.Namespace) -> int:
    from stream import models_command

    print(models_command.table())
    return 0


def _models_pull(arguments: argparse.Namespace) -> int:
    from stream import models_command

    print(models_command.pull(arguments.name))
    return 0


def _models_verify(arguments: argparse.Namespace) -> int:
    from stream import models_command

    print(models_command.verify(arguments.names))
    return 0


def _camera_add(arguments: argparse.Namespace) -> int:
    from stream import camera_command

    print(camera_command.add_camera(arguments))
    return 0


def _camera_effect(arguments: argparse.Namespace) -> int:
    from stream import camera_command

    print(camera_command.change_effect(arguments))
    return 0


def _camera_list(arguments: argparse.Namespace) -> int:
    from stream import camera_command

    print(camera_command.table(arguments))
    return 0


def _camera_remove(arguments: argparse.Namespace) -> int:
    from stream import camera_command

    print(camera_command.remove_camera(arguments))
    return 0


def _config(arguments: argparse.Namespace) -> int:
    from stream import config

    print(config.commented(), end="")
    return 0


@contextmanager
def _termination_raised() -> Iterator[None]:
    """What ends a process raises Terminated instead, except where it is ignored, as under nohup."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m recipes.songbook render|inspect|check`: free scores with words become songs with known words and times."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jukebox.errors import JukeboxError

EXIT_FAILED, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `python -m recipes.songbook`; those of the process by default.

    Returns:
        0; 1 when some songs failed or a check found a fault; 2 after a user's mistake; 130 after Ctrl-C.
    """
    try:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    except JukeboxError as error:
        print(f"songbook: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    except BrokenPipeError:  # as with `| head`; what the interpreter flushes at its end has nowhere to go either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("\nsongbook: stopped; the same command goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipes.songbook", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    render = commands.add_parser("render", help="sing scores: stems, accompaniments, mixes, lyrics with times")
    render.add_argument("scores", nargs="+", type=Path, help="files or folders: .abc, .mxl, .musicxml, .mid, .kar")
    render.add_argument("-o", "--out", required=True, type=Path, help="folder; a run that was stopped in it goes on")
    render.add_argument("--hours", type=_positive, default=None, help="of sound; each score once if not given")
    render.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    render.add_argument("--workers", type=int, default=None, help="processes (one per core)")
    render.add_argument(
        "--voice", action="append", default=None, metavar="NAME", help="only this voice; may be repeated"
    )
    render.add_argument("--format", choices=("flac", "ogg"), default="flac", help="of the sound files (flac)")
    render.set_defaults(run=_render)
    inspect = commands.add_parser("inspect", help="what is read from scores, or why they cannot be sung")
    inspect.add_argument("scores", nargs="+", type=Path, metavar="SCORE")
    inspect.add_argument("--notes", action="store_true", help="every syllable with its notes")
    inspect.set_defaults(run=_inspect)
    check = commands.add_parser("check", help="measure pitch, timing, words and levels of rendered songs")
    check.add_argument("out", type=Path, help="the folder of `render`")
    check.add_argument("--songs", type=int, default=12, help="how many are measured (12)")
    check.add_argument("--seed", type=int, default=0, help="of the choice (0)")
    check.set_defaults(run=_check)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of hours above 0")
    return value


def _render(arguments: argparse.Namespace) -> int:
    from recipes.songbook import tools

    tools.require(*tools.MODULES)
    from recipes.songbook.commands import render

    return render(arguments)


def _inspect(arguments: argparse.Namespace) -> int:
    from recipes.songbook.commands import inspect

    return inspect(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from recipes.songbook import tools

    tools.require(*tools.MODULES, *tools.CHECK_MODULES, programs=False)
    from recipes.songbook.check.report import check

    return check(arguments.out, arguments.songs, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())

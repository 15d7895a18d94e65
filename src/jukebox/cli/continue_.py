"""`jukebox continue`: an unfinished song to its end, with the same bytes; or a longer song from an earlier one."""

import argparse
from dataclasses import replace
from pathlib import Path

from jukebox.cli.recording import parse_levels
from jukebox.cli.songs import (
    add_following_option,
    add_sampling_options,
    add_source_options,
    add_work_options,
    given_codes,
    load_jukebox,
    narrowed,
    output_folder,
    sampling_fields,
    write,
)
from jukebox.errors import ConfigError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox continue`."""
    parser = subparsers.add_parser("continue", help="an unfinished song, or a longer one", description=__doc__)
    parser.add_argument("session", type=Path, metavar="SESSION", help="a folder that `jukebox generate` wrote")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a longer song; needs --output")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="the longer song's folder")
    add_source_options(parser, "keep only these levels, as in 2; finer ones are written anew")
    add_following_option(parser)
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Go on with a song."""
    from jukebox.sampling.session import Session

    session = Session(arguments.session)
    there = session.request()
    output: Path | None = arguments.output
    longer = arguments.seconds is not None or output is not None
    if longer and (arguments.seconds is None or (output is None and not arguments.estimate)):
        raise ConfigError("A longer song needs both --seconds and --output; neither finishes the session itself.")
    if arguments.precision == "auto":
        arguments.precision = session.precision
    jukebox = load_jukebox(there.model, arguments)
    levels = jukebox.model.top + 1
    changes = sampling_fields(arguments, levels)
    if not longer:
        kept = ("levels", "item", "start", "duration")
        if changes or any(getattr(arguments, name) is not None for name in kept):
            raise ConfigError("An unfinished song is finished as it was begun; other settings need --seconds and -o.")
        return write(jukebox, arguments.session, there, arguments)
    given = given_codes(arguments, arguments.session, parse_levels("--levels", arguments.levels, levels) or None)
    changes |= {"given": given, "joined": (), "prime": None, "seconds": arguments.seconds}
    request = replace(narrowed(there, arguments.item, arguments.session), **changes)
    return write(jukebox, output_folder(arguments), request, arguments)

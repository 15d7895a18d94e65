"""`jukebox upsample`: finer levels for codes that exist, whole or a part of them."""

import argparse
from pathlib import Path
from typing import Any

from jukebox import presets
from jukebox.cli.recording import parse_levels
from jukebox.cli.songs import (
    add_output_option,
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


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox upsample`."""
    parser = subparsers.add_parser("upsample", help="finer levels for codes that exist", description=__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a codes file, or the folder of a session")
    parser.add_argument("--model", help="the model (default: that of the session, or mini)")
    add_source_options(parser, "take only these levels of it (default: the coarsest)")
    parser.add_argument("--artist", help="for a codes file (default: unknown)")
    parser.add_argument("--genre", help="for a codes file (default: unknown)")
    add_output_option(parser)
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the finer levels."""
    from jukebox.labels.labels import Labels
    from jukebox.sampling.request import SongRequest
    from jukebox.sampling.session import Session, is_session

    said = {name: getattr(arguments, name) for name in ("artist", "genre") if getattr(arguments, name) is not None}
    if is_session(arguments.source):
        there = narrowed(Session(arguments.source).request(), arguments.item, arguments.source)
        songs, takes, first, follow = there.songs, there.takes, there.first_take, there.follow_lyrics
        model, seed = arguments.model or there.model, there.seed
    else:
        model, songs, takes, first, seed = arguments.model or presets.MINI, (Labels(**said),), 1, 0, 0
        follow = False
    folder, jukebox = output_folder(arguments), load_jukebox(model, arguments)
    levels = parse_levels("--levels", arguments.levels, jukebox.model.top + 1) or (jukebox.model.top,)
    given = given_codes(arguments, arguments.source, levels)
    # The words were followed in the codes that are there: they are read off so.
    usual: dict[str, Any] = {"seed": seed, "takes": takes, "first_take": first, "follow_lyrics": follow}
    changes = usual | sampling_fields(arguments, jukebox.model.top + 1)
    request = SongRequest(model=model, songs=songs, given=given, **changes)
    return write(jukebox, folder, request, arguments)

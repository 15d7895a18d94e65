"""`jukebox upsample`: finer levels for codes that exist, whole or a part of them."""

import argparse
from pathlib import Path
from typing import Any

from jukebox.cli.songs import (
    add_sampling_options,
    add_work_options,
    check_folder,
    load_jukebox,
    parse_list,
    sampling_fields,
    write,
)
from jukebox.errors import ConfigError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox upsample`."""
    parser = subparsers.add_parser("upsample", help="finer levels for codes that exist", description=__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a codes file, or the folder of a session")
    parser.add_argument("--model", help="the model (default: that of the session)")
    parser.add_argument("--levels", metavar="LIST", help="take only these levels of it (default: the coarsest)")
    parser.add_argument("--item", metavar="NAME", help="which song of the session, as in song_take_1")
    parser.add_argument("--start", type=float, metavar="S", help="begin at this second")
    parser.add_argument("--duration", type=float, metavar="S", help="take so many seconds (default: to the end)")
    parser.add_argument("--artist", help="for a codes file (default: unknown)")
    parser.add_argument("--genre", help="for a codes file (default: unknown)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="the new session's folder")
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the finer levels."""
    from jukebox.labels.labels import Labels
    from jukebox.sampling.request import Given, SongRequest
    from jukebox.sampling.session import Session, is_session

    said = {name: getattr(arguments, name) for name in ("artist", "genre") if getattr(arguments, name) is not None}
    if is_session(arguments.source):
        there = Session(arguments.source).request()
        songs, takes, first = there.songs, there.takes, there.first_take
        if arguments.item is not None:
            chosen = next((each for each in there.item_names() if each[2] == arguments.item), None)
            if chosen is None:
                names = ", ".join(name for _, _, name in there.item_names())
                raise ConfigError(f"{arguments.source} has no song {arguments.item!r}; it has {names}.")
            songs, takes, first = (there.songs[chosen[0]],), 1, chosen[1]
        model, seed = arguments.model or there.model, there.seed
    else:
        model, songs, takes, first, seed = arguments.model, (Labels(**said),), 1, 0, 0
        if model is None:
            raise ConfigError("No model is named; give --model, as a codes file does not know its priors.")
    folder, jukebox = check_folder(arguments.output), load_jukebox(model, arguments)
    levels = parse_list("--levels", arguments.levels, jukebox.model.top + 1) or (jukebox.model.top,)
    given = Given(
        source=str(arguments.source.absolute()),
        item=arguments.item,
        levels=levels,
        start_s=arguments.start or 0.0,
        duration_s=arguments.duration,
    )
    usual: dict[str, Any] = {"seed": seed, "takes": takes, "first_take": first}
    changes = usual | sampling_fields(arguments, jukebox.model.top + 1)
    request = SongRequest(model=model, songs=songs, given=given, **changes)
    return write(jukebox, folder, request, arguments)

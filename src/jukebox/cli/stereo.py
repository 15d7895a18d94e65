"""`jukebox stereo`: two or three takes of one song as left, right and centre.

The takes must share their top level: `jukebox upsample SKETCH --item TAKE --takes 2 -o WIDE`, then `jukebox stereo
WIDE`.
"""

import argparse
from pathlib import Path

from jukebox.cli.songs import FORMATS
from jukebox.errors import ConfigError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox stereo`."""
    parser = subparsers.add_parser("stereo", help="takes of one song as left, right and centre", description=__doc__)
    parser.add_argument("session", type=Path, metavar="SESSION", help="a folder with finished takes")
    parser.add_argument(
        "--takes", metavar="LIST", help="as in song_take_0,song_take_1: left and right, or left, centre, right"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: song_stereo.flac in the session")


def run(arguments: argparse.Namespace) -> int:
    """Write the file."""
    from jukebox.sampling.session import Session
    from jukebox.stereo import STEREO, write_stereo

    names = [name for _, _, name in Session(arguments.session).request().item_names()]
    takes = names if arguments.takes is None else [name.strip() for name in arguments.takes.split(",")]
    for take in takes:
        if take not in names:
            raise ConfigError(f"{arguments.session} has no song {take!r}; it has {', '.join(names)}.")
    output = arguments.output or arguments.session / STEREO
    if output.suffix[1:].lower() not in FORMATS:
        raise ConfigError(f"--output is {str(output)!r}; name a file that ends in .{', .'.join(FORMATS)}.")
    write_stereo(arguments.session, takes, output)
    print(output)
    return 0

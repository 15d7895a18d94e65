"""`jukebox generate`: a song from artist, genre and lyrics, or from a request file; without any, one of the model's."""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox import presets
from jukebox.cli.label_options import add_label_options, with_labels
from jukebox.cli.songs import (
    add_following_option,
    add_sampling_options,
    add_work_options,
    check_folder,
    load_jukebox,
    sampling_fields,
    write,
)
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.sampling.request import Prime, SongRequest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox generate`."""
    parser = subparsers.add_parser("generate", help="a song from artist, genre and lyrics", description=__doc__)
    parser.add_argument("--request", type=Path, metavar="FILE", help="YAML or JSON; other options replace its fields")
    parser.add_argument("--model", help="a name of `jukebox models`, or a folder (default: mini)")
    add_label_options(parser, "unknown")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of the song (default: usual for the model)")
    parser.add_argument("--prime", type=Path, metavar="RECORDING", help="begin with this recording")
    parser.add_argument("--prime-start", type=float, metavar="S", help="its part from this second on")
    parser.add_argument("--prime-duration", type=float, metavar="S", help="so many seconds of it (default: all)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="the session's folder (default: a new one)")
    add_following_option(parser)
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write a song."""
    from jukebox.sampling.request import SongRequest

    asked = SongRequest.read(arguments.request) if arguments.request else None
    model = arguments.model or (presets.MINI if asked is None else asked.model)
    folder = _new_folder() if arguments.output is None else check_folder(arguments.output)
    jukebox = load_jukebox(model, arguments)
    request = _request(arguments, asked or _usual(arguments, jukebox.model.usual), model, jukebox.model.top + 1)
    return write(jukebox, folder, request, arguments, _introduction(request) if asked is None else "")


def _new_folder() -> Path:
    """song, song_2, song_3, ...: the first that is not there."""
    names = itertools.chain(["song"], (f"song_{number}" for number in itertools.count(2)))
    return next(path for path in map(Path, names) if not path.exists())


def _usual(arguments: argparse.Namespace, usual: "SongRequest") -> "SongRequest":
    """The model's own song; its labels only where nothing is said of them."""
    from jukebox.labels.labels import Labels

    said = (arguments.artist, arguments.genre, arguments.describe, arguments.lyrics, arguments.lyrics_file,
            arguments.prime)  # fmt: skip
    return usual if said == (None,) * len(said) else replace(usual, songs=(Labels(),))


def _introduction(request: "SongRequest") -> str:
    """What is written: much of it may not have been asked for."""
    first, *_ = request.songs
    words = f"sings {first.lyrics.splitlines()[0]!r}" if first.lyrics.strip() else "without words"
    return (
        f"{request.model}: {request.seconds:g} s, artist {first.artist!r}, genre {first.genre!r}, {words}; "
        f"seed {request.seed} (another one, another song)."
    )


def _request(arguments: argparse.Namespace, base: "SongRequest", model: str, levels: int) -> "SongRequest":
    changes: dict[str, Any] = sampling_fields(arguments, levels) | {"model": model}
    if arguments.seconds is not None:
        changes["seconds"] = arguments.seconds
    changes["songs"] = with_labels(arguments, base.songs, model)
    prime = _prime(arguments)
    if prime is not None:
        changes["prime"] = prime
    return replace(base, **changes)


def _prime(arguments: argparse.Namespace) -> "Prime | None":
    from jukebox.sampling.request import Prime

    if arguments.prime is None:
        if arguments.prime_start is not None or arguments.prime_duration is not None:
            raise ConfigError("--prime-start and --prime-duration need --prime, the recording.")
        return None
    return Prime(
        recording=str(arguments.prime.absolute()),
        start_s=arguments.prime_start or 0.0,
        duration_s=arguments.prime_duration,
    )

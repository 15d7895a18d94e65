"""`jukebox generate`: a song from artist, genre and lyrics, or from a request file."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox.cli.songs import add_sampling_options, add_work_options, check_folder, load_jukebox, sampling_fields, write
from jukebox.errors import ConfigError

if TYPE_CHECKING:
    from jukebox.labels.labels import Labels
    from jukebox.sampling.request import Prime, SongRequest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox generate`."""
    parser = subparsers.add_parser("generate", help="a song from artist, genre and lyrics", description=__doc__)
    parser.add_argument("--request", type=Path, metavar="FILE", help="YAML or JSON; other options replace its fields")
    parser.add_argument("--model", help="a released model in the cache, a folder, or tiny-random (for tests)")
    parser.add_argument("--artist", help="a name that the model knows (default: unknown)")
    parser.add_argument("--genre", help="one that the model knows (default: unknown)")
    parser.add_argument("--lyrics", help="the words; @FILE reads them from a file")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of the song")
    parser.add_argument("--total", type=float, metavar="S", help="length of the song that the model should think of")
    parser.add_argument("--offset", type=float, metavar="S", help="where in that song the music begins (default 0)")
    parser.add_argument("--prime", type=Path, metavar="RECORDING", help="begin with this recording")
    parser.add_argument("--prime-start", type=float, metavar="S", help="its part from this second on")
    parser.add_argument("--prime-duration", type=float, metavar="S", help="so many seconds of it (default: all)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="the session's folder")
    add_sampling_options(parser)
    add_work_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write a song."""
    from jukebox.sampling.request import SongRequest

    base = SongRequest.read(arguments.request) if arguments.request else None
    model = arguments.model or (base.model if base is not None else None)
    if model is None:
        raise ConfigError("No model is named; give --model, or --request with one in it.")
    if arguments.output is None and not arguments.estimate:
        raise ConfigError("No folder is named to write into; give --output.")
    if base is None and arguments.seconds is None:
        raise ConfigError("No length is given; give --seconds.")
    folder = check_folder(arguments.output or Path("song"))
    jukebox = load_jukebox(model, arguments)
    request = _request(arguments, base, model, jukebox.model.top + 1)
    return write(jukebox, folder, request, arguments)


def _request(arguments: argparse.Namespace, base: "SongRequest | None", model: str, levels: int) -> "SongRequest":
    from jukebox.sampling.request import SongRequest

    changes: dict[str, Any] = sampling_fields(arguments, levels) | {"model": model}
    if arguments.seconds is not None:
        changes["seconds"] = arguments.seconds
    changes["songs"] = _songs(arguments, base)
    prime = _prime(arguments)
    if prime is not None:
        changes["prime"] = prime
    there = {} if base is None else {field.name: getattr(base, field.name) for field in fields(base)}
    return SongRequest(**(there | changes))


def _songs(arguments: argparse.Namespace, base: "SongRequest | None") -> "tuple[Labels, ...]":
    from jukebox.labels.labels import Labels

    names = {"artist": "artist", "genre": "genre", "total": "total_duration_s", "offset": "offset_s"}
    said = {
        name: getattr(arguments, option) for option, name in names.items() if getattr(arguments, option) is not None
    }
    if arguments.lyrics is not None:
        said["lyrics"] = _lyrics(arguments.lyrics)
    songs = base.songs if base is not None else (Labels(),)
    return tuple(replace(song, **said) for song in songs)


def _lyrics(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The lyrics in {text[1:]} cannot be read ({error}); name a text file in UTF-8.") from error


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

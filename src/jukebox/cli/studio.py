"""`jukebox studio`: songs in a browser: written, heard, compared, gone on with."""

import argparse
import contextlib
import importlib.util
from pathlib import Path

from jukebox.cli.recording import prepare_machine
from jukebox.cli.songs import add_engine_options
from jukebox.errors import ConfigError

PORT = 4410


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox studio`."""
    parser = subparsers.add_parser("studio", help="songs in a browser", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("studio"), help="where its songs are (default: studio)"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="offer this model too: a name of `jukebox models` or a folder; several times for several "
        "(mini and the released ones that are here are always offered)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="listen there (default: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"listen there (default: {PORT})")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    add_engine_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the studio."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"The studio needs {' and '.join(missing)}: pip install 'jukebox[studio]'.")
    from jukebox.engines import EngineSettings
    from jukebox.studio.catalogue import Catalogue
    from jukebox.studio.server import serve
    from jukebox.studio.shelf import Shelf
    from jukebox.studio.studio import Studio

    prepare_machine(arguments)
    settings = EngineSettings(engine=arguments.engine, precision=arguments.precision)
    catalogue = Catalogue(tuple(arguments.model), arguments.device, settings)
    for name in arguments.model or catalogue.names[:1]:
        catalogue.offered(name)  # what cannot be loaded is said at once
    with contextlib.closing(Studio(Shelf(arguments.folder), catalogue)) as studio:
        serve(studio, arguments.host, arguments.port, browser=not arguments.no_browser)
    return 0

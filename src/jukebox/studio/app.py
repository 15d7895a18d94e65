"""The studio over HTTP: JSON for what is shown and asked, the files of the shelf, sound while it is written."""

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jukebox.audio.write import WRITABLE_SUFFIXES
from jukebox.checkpoints.codes import CODES_SUFFIX
from jukebox.errors import ConfigError, JukeboxError
from jukebox.studio.access import Access
from jukebox.studio.streams import events, listen
from jukebox.studio.studio import Studio

PAGE = Path(__file__).parent / "web"

# Nothing else of the shelf is given away.
_SERVED = (*WRITABLE_SUFFIXES, CODES_SUFFIX, ".lrc", ".json", ".yaml")
_MOST_BYTES = 4 << 20

Deed = Callable[[dict[str, str], dict[str, Any]], Any]
"""What is done with the parts of a path and the values that are sent; JSON values are answered."""


def make_app(studio: Studio, key: str | None = None) -> Starlette:
    """The web application of a studio; `key` as in `Access`."""
    catalogue = studio.catalogue
    routes = [
        Route("/", _page),
        Mount("/web", StaticFiles(directory=PAGE)),
        Route("/api/events", partial(events, studio)),
        Route("/live/{name}/{take}", partial(listen, studio)),
        Route("/files/{path:path}", _files(studio)),
        Route("/api/state", _told(lambda path, query: studio.state())),
        Route("/api/recordings", _told(lambda path, query: studio.recordings())),
        Route("/api/recordings/{name}", _recording(studio), methods=["PUT"]),
        Route("/api/model", _told(lambda path, query: catalogue.description(query.get("model", "")))),
        Route("/api/names/{kind}", _told(lambda path, query: _names(studio, path["kind"], query))),
        Route("/api/lyrics", _done(lambda path, said: _as_read(studio, said)), methods=["POST"]),
        Route("/api/describe", _done(lambda path, said: _described(studio, said)), methods=["POST"]),
        Route("/api/estimate", _done(lambda path, said: studio.estimate(said.get("request"))), methods=["POST"]),
        Route("/api/songs", _done(lambda path, said: _begin(studio, said)), methods=["POST"]),
        Route("/api/songs/{name}/{deed}", _done(lambda path, said: _deed(studio, path, said)), methods=["POST"]),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(studio.close)

    refused = dict.fromkeys((JukeboxError, OSError, UnicodeError), _refuse)
    middleware = [Middleware(Access, key=key)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=refused, lifespan=lifespan)


def _refuse(_: Request, error: Exception) -> Response:
    """A mistake as a sentence."""
    sentence = str(error)
    if isinstance(error, OSError):
        sentence = f"{error.filename or 'A file'} cannot be used ({error.strerror or error})."
    if isinstance(error, UnicodeError):
        sentence = f"Something in it is no text ({error.reason if isinstance(error, UnicodeEncodeError) else error})."
    return _Json({"error": sentence}, 400)


class _Json(JSONResponse):
    """JSON in ASCII: what is no text, as halves of characters in a name, comes through."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


def _page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})


def _told(give: Callable[[dict[str, str], dict[str, str]], Any]) -> Callable[[Request], Response]:
    """A route that reads: of the parts of its path and its query."""

    def route(request: Request) -> Response:
        return _Json(give(dict(request.path_params), dict(request.query_params)))

    return route


def _done(do: Deed) -> Callable[[Request], Awaitable[Response]]:
    """A route that does something with JSON values."""

    async def route(request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                raise ConfigError(f"More than {_MOST_BYTES >> 20} MiB were sent; a request is smaller.")
        try:
            said = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"What was sent is not JSON ({error}).") from error
        if not isinstance(said, dict):
            raise ConfigError("What was sent is no object with named fields.")
        return _Json(await run_in_threadpool(do, dict(request.path_params), said))

    return route


def _begin(studio: Studio, said: dict[str, Any]) -> dict[str, str]:
    return {"name": studio.begin(said.get("request"), _text(said, "name") or "")}


def _deed(studio: Studio, path: dict[str, str], said: dict[str, Any]) -> dict[str, str]:
    """What is done with a song."""
    name = path["name"]
    if path["deed"] == "note":
        starred = said.get("starred")
        if starred is not None and not isinstance(starred, dict):
            raise ConfigError("starred is no object of takes; send {take: true or false}.")
        studio.note(name, _text(said, "title"), starred)
        return {"name": name}
    deeds = {
        "go-on": studio.go_on,
        "stop": studio.worker.stop,
        "stereo": studio.stereo,
        "remove": studio.remove,
        "restore": studio.restore,
    }
    if path["deed"] not in deeds:
        raise ConfigError(f"A song is not for {path['deed']!r}, only for note, {', '.join(deeds)}.")
    deeds[path["deed"]](name)
    return {"name": name}


def _names(studio: Studio, kind: str, query: dict[str, str]) -> list[str]:
    if kind not in ("artists", "genres"):
        raise ConfigError(f"There are artists and genres, no {kind!r}.")
    return studio.catalogue.search(query.get("model", ""), kind, query.get("text", ""))


def _described(studio: Studio, said: dict[str, Any]) -> dict[str, Any]:
    found = studio.catalogue.described(_text(said, "model") or "", _text(said, "text") or "")
    return dataclasses.asdict(found)


def _as_read(studio: Studio, said: dict[str, Any]) -> dict[str, str]:
    return {"lyrics": studio.catalogue.lyrics_as_read(_text(said, "model") or "", _text(said, "lyrics") or "")}


def _text(said: dict[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}; expected a text.")
    return value


def _files(studio: Studio) -> Callable[[Request], Response]:
    def route(request: Request) -> Response:
        folder = studio.shelf.folder
        try:
            path = (folder / request.path_params["path"]).resolve()
            inside = path.is_relative_to(folder.resolve()) and path.suffix in _SERVED and path.is_file()
        except (OSError, ValueError):  # no name of a file at all
            path, inside = folder, False
        if not inside:
            return _Json({"error": f"There is no file {request.path_params['path']!r} here."}, 404)
        return FileResponse(path, headers={"cache-control": "no-cache"})

    return route


def _recording(studio: Studio) -> Callable[[Request], Awaitable[Response]]:
    """A recording that is sent whole, by its name."""

    async def route(request: Request) -> Response:
        return _Json(await studio.add_recording(request.path_params["name"], request.stream()))

    return route

"""What is sent for as long as somebody listens: news of the studio, and the sound of a take while it is written."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from jukebox.studio.live import LiveSound
from jukebox.studio.studio import Studio

_LOOK_EVERY_S, _LOOK_AT_DISK_EVERY_S, _SIGN_OF_LIFE_S = 0.25, 2.0, 10.0


async def events(studio: Studio, _: Request) -> Response:
    """Server-sent events: the version of the state and the work, whenever one of them is another."""
    return StreamingResponse(_news(studio), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _news(studio: Studio) -> AsyncIterator[str]:
    known, silent_s, blind_s = "", 0.0, 0.0
    while not studio.closing:
        news = json.dumps({"version": studio.version, "work": studio.worker.state()})
        if news != known or silent_s >= _SIGN_OF_LIFE_S:
            yield f"data: {news}\n\n"
            known, silent_s = news, 0.0
        await asyncio.sleep(_LOOK_EVERY_S)
        silent_s, blind_s = silent_s + _LOOK_EVERY_S, blind_s + _LOOK_EVERY_S
        if blind_s >= _LOOK_AT_DISK_EVERY_S:
            await run_in_threadpool(studio.look)
            blind_s = 0.0


async def listen(studio: Studio, request: Request) -> Response:
    """The sound of a take that is being written, as a WAV that grows until the take is done."""
    name, take = request.path_params["name"], request.path_params["take"]
    sound = studio.worker.live(name, take)
    if sound is None:
        return JSONResponse({"error": f"{take} of {name} is not being written; listen to its files."}, 404)
    return StreamingResponse(_growing(studio, sound), media_type="audio/wav", headers={"cache-control": "no-store"})


async def _growing(studio: Studio, sound: LiveSound) -> AsyncIterator[bytes]:
    yield sound.header()
    place, last = 0, False
    while not last and not studio.closing:
        data, last = sound.after(place)
        if data:
            yield data
            place += len(data)
        elif not last:
            await asyncio.sleep(_LOOK_EVERY_S)

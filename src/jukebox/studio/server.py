"""Serves a studio until it is told to stop."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from types import FrameType

import uvicorn

from jukebox.errors import ConfigError
from jukebox.studio.access import LOCAL
from jukebox.studio.app import make_app
from jukebox.studio.studio import Studio

# Listeners are cut off so long after Ctrl-C; the song that is being written is saved in any case.
_GRACE_S = 1


def serve(studio: Studio, host: str, port: int, browser: bool) -> None:
    """Serve a studio at an address, and print it, until Ctrl-C; then the song at hand is saved.

    Args:
        studio: what is served.
        host, port: where; a host of a network needs the key that is printed, port 0 is any that is free.
        browser: open the page.

    Raises:
        ConfigError: the address cannot be had.
        KeyboardInterrupt: after Ctrl-C.
    """
    key = None if host in LOCAL else secrets.token_urlsafe(16)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # everywhere is no address to open
        shown = socket.gethostname()
    address = f"http://{shown}:{listening.getsockname()[1]}/" + (f"?key={key}" if key else "")
    print(
        f"{studio.shelf.folder}: {address}\nCtrl-C stops; a song that is being written can be gone on with.", flush=True
    )
    if browser and _has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    config = uvicorn.Config(
        make_app(studio, key), log_level="warning", lifespan="on", timeout_graceful_shutdown=_GRACE_S
    )
    # What is cut off by Ctrl-C is no error of the program, which the server takes it for.
    logging.getLogger("uvicorn.error").addFilter(lambda record: not (studio.closing and _is_of_the_end(record)))
    server = _Server(config, studio)
    with listening:
        server.run(sockets=[listening])
    if server.interrupted:  # what the event loop makes of it depends on what it was doing
        raise KeyboardInterrupt


def _is_of_the_end(record: logging.LogRecord) -> bool:
    """Whether the server says no more than that it ends: a sentence, or a request that it has cut off."""
    return record.exc_info is None or isinstance(record.exc_info[1], asyncio.CancelledError)


class _Server(uvicorn.Server):
    """Tells the studio of Ctrl-C at once, so that what is sent for as long as somebody listens ends."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio, self.interrupted = studio, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._studio.closing = True
        self.interrupted |= sig == signal.SIGINT
        super().handle_exit(sig, frame)


def _has_screen() -> bool:
    """Whether a browser would be a window: one in the terminal would take it over."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"The port {port} is none; choose one from 1 to 65535, or 0 for any that is free.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # It listens from now on: who opens the address at once waits, and is not refused.
        return socket.create_server((host, port), family=family)
    except OSError as error:
        number = error.errno or 0  # negative: a name that is not found
        reason = os.strerror(number) if number > 0 else "there is no such host"
        raise ConfigError(f"{host} port {port} cannot be had ({reason}); choose another by --port.") from error

"""Writes the songs of a shelf, one after another, in a thread of its own, and tells how far it is."""

import contextlib
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, cast

from jukebox.engines import Precision
from jukebox.errors import JukeboxError
from jukebox.sampling.events import Audio, Event, Message, Progress, Saved
from jukebox.sampling.generate import Options
from jukebox.sampling.session import Session, is_session
from jukebox.studio.catalogue import Catalogue
from jukebox.studio.live import LiveSound
from jukebox.studio.shelf import Shelf

_MOST_SAID = 5


class Worker:
    """A queue of songs, and the thread that writes them. What is stopped or fails stays on the disk as far as it is.

    Args:
        shelf: whose songs they are.
        catalogue: of the models.
        changed: called when the shelf or the queue is another than before.
        options: how songs are written.
    """

    def __init__(
        self, shelf: Shelf, catalogue: Catalogue, changed: Callable[[], None], options: Options | None = None
    ) -> None:
        self._shelf, self._catalogue, self._changed = shelf, catalogue, changed
        self._options = options or Options(stream=True)
        self._news = threading.Condition()
        self._queue: list[str] = []
        self._running: str | None = None
        self._stopping = self._closed = False
        self._progress: dict[int, Progress] = {}
        self._live: dict[str, LiveSound] = {}
        self._problems: dict[str, str] = {}
        self._said: dict[str, list[str]] = {}
        self._thread = threading.Thread(target=self._work, name="studio worker", daemon=True)
        self._thread.start()

    def add(self, name: str) -> None:
        """Write a song when its turn comes: from its beginning, or from where it ended."""
        with self._news:
            if (name != self._running or self._stopping) and name not in self._queue:
                self._queue.append(name)
            self._problems.pop(name, None)
            self._news.notify_all()
        self._changed()

    def stop(self, name: str) -> None:
        """Stop a song that is written or waits; nothing of it is lost."""
        with self._news:
            if name in self._queue:
                self._queue.remove(name)
            if name == self._running:
                self._stopping = True
        self._changed()

    def busy(self, name: str | None = None) -> bool:
        """Whether a song, or any, is being written or waits."""
        with self._news:
            names = [*self._queue, *([self._running] if self._running is not None else [])]
        return bool(names) if name is None else name in names

    def live(self, name: str, take: str) -> LiveSound | None:
        """The sound of a take that is being written; None where it is not."""
        with self._news:
            return self._live.get(take) if name == self._running else None

    def state(self) -> dict[str, Any]:
        """What is written, what waits, and what went wrong, as JSON values."""
        with self._news:
            return {
                "running": self._running,
                "stopping": self._stopping,
                "queue": list(self._queue),
                "live": sorted(self._live),
                "problems": dict(self._problems),
                "said": dict(self._said),
                "levels": [vars(each) for _, each in sorted(self._progress.items(), reverse=True)],
            }

    def close(self) -> None:
        """Stop everything, and wait until it is saved."""
        with self._news:
            self._closed = self._stopping = True
            self._queue.clear()
            self._news.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._queue) or self._closed)
                if self._closed:
                    return
                name = self._running = self._queue.pop(0)
                self._stopping, self._said[name] = False, []
            self._changed()
            problem = self._write(name)
            with self._news:
                for sound in self._live.values():
                    sound.end()
                self._running = None
                self._progress, self._live = {}, {}
                if problem is not None:
                    self._problems[name] = problem
            self._changed()

    def _write(self, name: str) -> str | None:
        """Write one song; a sentence where it does not come to its end."""
        try:
            folder = self._shelf.path(name)
            session = Session(folder)
            request = session.request()
            jukebox = self._catalogue.jukebox(request.model, cast(Precision, session.precision))
            self._catalogue.only(jukebox)
            config = jukebox.model.vqvae.config
            live = {item: LiveSound(config.sample_rate, config.channels) for _, _, item in request.item_names()}
            with self._news:
                self._live = live if self._options.stream else {}
            with contextlib.closing(jukebox.write_session(folder, request, options=self._options)) as events:
                for event in events:
                    self._hear(name, event)
                    if self._stopping:
                        break
                    if not is_session(folder):
                        return f"{name} was removed from its folder while it was being written."
        except JukeboxError as error:
            return str(error)
        except OSError as error:
            return f"{error.filename or name} cannot be written ({error.strerror or error}): make room, and go on."
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            return f"An error of the program ended it ({type(error).__name__}: {error}); what was written is kept."
        return None

    def _hear(self, name: str, event: Event) -> None:
        with self._news:
            if isinstance(event, Progress):
                self._progress[event.level] = event
            elif isinstance(event, Message):
                self._said[name] = [*self._said[name], event.text][-_MOST_SAID:]
            elif isinstance(event, Audio) and event.item in self._live:
                self._live[event.item].add(event.start_sample, event.samples)
        if isinstance(event, Saved):
            self._changed()

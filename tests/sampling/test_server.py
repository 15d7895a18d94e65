"""Songs from a server: several threads on one model, and a cancel that is heard within a step."""

import threading
from dataclasses import replace
from pathlib import Path

import torch

from jukebox.labels.labels import Labels
from jukebox.pipeline import Jukebox
from jukebox.sampling.events import Finished, Progress
from jukebox.sampling.generate import Options
from jukebox.sampling.request import SongRequest
from jukebox.sampling.session import Session
from jukebox.sampling.writing import Pace

SONG = Labels(artist="nobody", genre="waltz", lyrics="la la la")
REQUEST = SongRequest(model="tiny-random", songs=(SONG,), seconds=0.05, seed=1, lowest_level=1, parallel_windows=1)
EVERY_STEP = Options(pace=Pace(run_s=0.0), previews=None)


def test_threads_share_a_model_and_do_not_hear_each_other(jukebox: Jukebox) -> None:
    requests = [replace(REQUEST, seed=seed) for seed in (1, 2, 3)]
    alone = [jukebox.generate_all(request)[0] for request in requests]
    found, number = dict[int, list[torch.Tensor]](), torch.get_num_threads()

    def serve(index: int) -> None:
        song = jukebox.generate_all(requests[index])[0]
        found[index] = [song.codes[level] for level in (1, 2)]

    threads = [threading.Thread(target=serve, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, song in enumerate(alone):
        assert all(torch.equal(codes, song.codes[level]) for level, codes in zip((1, 2), found[index], strict=True))
    assert torch.get_num_threads() == number


def test_a_cancel_is_heard_within_a_step_and_nothing_is_lost(jukebox: Jukebox, tmp_path: Path) -> None:
    """A thread writes until it is told to stop; the session goes on to the song that it would have been."""
    asked, seen = threading.Event(), list[int]()

    def serve() -> None:
        with Session(tmp_path / "song") as session:
            events = jukebox.events(REQUEST, session, EVERY_STEP)
            for event in events:
                if isinstance(event, Progress):
                    seen.append(event.tokens)
                if asked.is_set():
                    break
                if len(seen) == 5:
                    asked.set()  # what another thread would do, at a moment that is known
            events.close()

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert seen == [1, 2, 3, 4, 5, 6]
    with Session(tmp_path / "song") as session:
        *_, last = jukebox.events(REQUEST, session, EVERY_STEP)
        first = next(e for e in jukebox.events(REQUEST, session) if isinstance(e, Progress | Finished))
    assert isinstance(last, Finished)
    assert isinstance(first, Finished)  # nothing was left to do
    song = jukebox.generate_all(REQUEST)[0]
    assert all(torch.equal(codes, song.codes[level]) for level, codes in last.codes["song"].items())

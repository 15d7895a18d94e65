"""Writes songs, level by level, and tells as it goes: an iterator that can be closed at any moment and resumed."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from torch import Tensor

from jukebox.sampling.engine import Engine
from jukebox.sampling.events import Event, Finished, Message, Progress, Saved
from jukebox.sampling.level import LevelWork
from jukebox.sampling.meter import Meter, reading_rows
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import LevelPlan, SongPlan
from jukebox.sampling.session import Session
from jukebox.sampling.threads import single_thread
from jukebox.sampling.writing import LevelWriter, Pace, Run
from jukebox.vqvae.streaming import CHUNK_SAMPLES

MOST_SLOTS = 32

EngineFactory = Callable[[int, int], Engine]
"""An engine for a level with so many slots. It is dropped when the level is done."""

Result = TypeVar("Result")

Codes = dict[str, dict[int, Tensor]]
"""Codes of every item by level, as far as they are written."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the work is done; nothing here changes what comes out.

    Args:
        slots: windows at once; None for as many as there are, up to `MOST_SLOTS` rows of a step.
        pace: how often something is told.
        stream: give the sound of the finest level as it becomes final.
        chunk_samples: of that sound, at least so much at once: less is heard sooner, and costs more.
        previews: kind of the files of each level to listen to, in a session; None for none.
        together: all levels at once, each in a thread: a window begins as soon as the codes that it is told of are
            there. The sound of the finest level comes from the beginning on, and all priors are in memory. Otherwise a
            level begins when the one above is done. None: as the pipeline finds best.
    """

    slots: int | None = None
    pace: Pace = field(default_factory=Pace)
    stream: bool = False
    chunk_samples: int = CHUNK_SAMPLES
    previews: Literal["wav", "flac"] | None = "flac"
    together: bool | None = None


def generate(
    plan: SongPlan,
    model: SongModel,
    engines: EngineFactory,
    *,
    seed: int,
    session: Session | None = None,
    options: Options | None = None,
) -> Generator[Event, None, None]:
    """Write everything that a plan asks for.

    Closing the iterator stops it between two runs of the engine (`Pace`), and saves what was written where there is a
    session; a session that holds a part of the plan goes on from there. The last event is `Finished`.

    Args:
        plan: what to write.
        model: that writes it.
        engines: makes the engine of a level when its turn comes.
        seed: of the noise.
        session: where the work is saved.
        options: how it is done.
    """
    yield from _Generation(plan, model, engines, seed, session, options or Options()).run()


class _Generation:
    def __init__(
        self,
        plan: SongPlan,
        model: SongModel,
        engines: EngineFactory,
        seed: int,
        session: Session | None,
        options: Options,
    ) -> None:
        self._plan, self._model, self._engines, self._seed = plan, model, engines, seed
        self._session, self._options = session, options
        self._slots = {level.level: windows_at_once(level, options.slots) for level in plan.levels}
        self._works: list[LevelWork] = []
        self._left_s: dict[int, float] = {}
        self._meters = dict.fromkeys(self._slots, self._meter(plan.levels))
        if options.together:
            self._meters = {level.level: self._meter([level]) for level in plan.levels}

    def run(self) -> Iterator[Event]:
        for note in self._plan.notes:
            yield Message(text=note)
        levels = self._plan.levels
        for group in [levels] if self._options.together else [(level,) for level in levels]:
            yield from self._write([self._work(level) for level in group])
        codes: Codes = {item.name: dict(item.given) for item in self._plan.items}
        for work in self._works:
            for name, found in work.codes().items():
                codes[name][work.plan.level] = found
        yield Finished(codes={name: dict(sorted(levels.items())) for name, levels in codes.items()})

    def _work(self, plan: LevelPlan) -> LevelWork:
        options, lowest = self._options, plan is self._plan.levels[-1]
        work = LevelWork(
            plan,
            self._plan.items,
            self._model,
            seed=self._seed,
            above=self._works[-1] if self._works else None,
            session=self._session,
            previews=options.previews,
            stream=options.chunk_samples if lowest and options.stream else None,
        )
        self._works.append(work)
        return work

    def _write(self, works: Sequence[LevelWork]) -> Iterator[Event]:
        """Write levels side by side, the coarsest first where there is a choice."""
        if self._session is not None:
            yield from (Message(text=note) for note in self._session.notes)
            self._session.notes.clear()
        unfinished = dict(enumerate(works))
        with ExitStack() as end:
            threads = end.enter_context(ThreadPoolExecutor(len(works))) if len(works) > 1 else None
            writers: dict[int, LevelWriter] = {}
            running: dict[Future[Run], int] = {}
            end.callback(self._stop, works, writers, running)
            for index, work in enumerate(works):
                if not work.done:
                    writers[index] = self._writer(work)
            while True:
                for index, work in list(unfinished.items()):
                    if work.done:
                        writers.pop(index, None)  # and its engine
                        del unfinished[index]
                        work.save()
                        yield from self._alone(work.finish)
                if not unfinished:
                    break
                self._alone(self._start, writers, running, threads)
                assert running, "levels wait for each other"
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running.pop(future)
                    work, new = works[index], writers[index].accept(future.result())
                    work.accepted()
                    if threads is not None:
                        self._alone(self._start, writers, running, threads)  # others go on while this is told
                    yield self._progress(work, new)
                    yield from self._alone(work.heard)
                    if self._session is not None and self._session.due:
                        # The coarsest first: what is on the disk of a level was told what is there of the one above.
                        for each in works:
                            each.save()
                        yield Saved(path=self._session.folder)
                    yield from self._alone(work.previews)

    def _alone(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do something in this thread alone where engines have the others: threads that wait would be in their way."""
        with single_thread() if self._options.together else nullcontext():
            return work(*arguments)

    def _writer(self, work: LevelWork) -> LevelWriter:
        level, left = work.plan.level, [strand for strand in work.strands.values() if not strand.done]
        engine = self._engines(level, min(self._slots[level], len(left)))
        work.begin(engine.prior)
        self._meters[level].begin(work.plan, work.strands.values())
        return LevelWriter(engine, left, self._options.pace, work.ready)

    def _start(
        self, writers: dict[int, LevelWriter], running: dict[Future[Run], int], threads: ThreadPoolExecutor | None
    ) -> None:
        """Let every engine run that does not, and has something to do."""
        for index, writer in writers.items():
            if index not in running.values() and not writer.done and (steps := writer.prepare()):
                if threads is not None:
                    running[threads.submit(writer.run, steps)] = index
                else:
                    future = Future[Run]()
                    future.set_result(writer.run(steps))
                    running[future] = index

    def _stop(
        self, works: Sequence[LevelWork], writers: dict[int, LevelWriter], running: dict[Future[Run], int]
    ) -> None:
        """Keep what is still being written, and everything else."""
        for future, index in running.items():
            if future.exception() is None:
                writers[index].accept(future.result())
                works[index].accepted()
        for work in works:
            work.save()
        for writer in writers.values():
            writer.close()

    def _progress(self, work: LevelWork, new: int) -> Progress:
        level = work.plan.level
        event = self._meters[level].progress(new)
        if self._options.together:
            # Side by side the slowest level says when all is done.
            self._left_s[level] = event.left_s
            event = replace(event, left_s=max(self._left_s.values()))
        return event

    def _meter(self, levels: Sequence[LevelPlan]) -> Meter:
        return Meter(self._model, levels, self._slots, reading_rows(self._model.vqvae.vectors(0).device))


def windows_at_once(plan: LevelPlan, asked: int | None) -> int:
    """How many windows of a level are written at once, where so many are asked for; see `Options`."""
    chains = sum(len(item) for item in plan.chains)
    return max(1, min(asked or MOST_SLOTS // plan.sampling.rows, chains))

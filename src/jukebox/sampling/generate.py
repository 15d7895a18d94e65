"""Writes songs, level by level, and tells as it goes: an iterator that can be closed at any moment and resumed."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from jukebox.labels.labels import SongTokens
from jukebox.prior.conditions import Conditions, conditions_of
from jukebox.sampling.engine import Engine
from jukebox.sampling.events import Audio, Event, Finished, Message, Saved
from jukebox.sampling.listening import Listening
from jukebox.sampling.meter import Meter, reading_rows
from jukebox.sampling.model import SongModel
from jukebox.sampling.noise import noise_key
from jukebox.sampling.plan import Item, LevelPlan, SongPlan
from jukebox.sampling.session import Session
from jukebox.sampling.strand import Strand, joined, prefix
from jukebox.sampling.windows import PlannedWindow
from jukebox.sampling.writing import Pace, write_level
from jukebox.vqvae.streaming import CHUNK_SAMPLES, StreamDecoder

MOST_SLOTS = 32

EngineFactory = Callable[[int, int], Engine]
"""An engine for a level with so many slots. It is dropped when the level is done."""

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
    """

    slots: int | None = None
    pace: Pace = field(default_factory=Pace)
    stream: bool = False
    chunk_samples: int = CHUNK_SAMPLES
    previews: Literal["wav", "flac"] | None = "flac"


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
        # Coarser levels that are given are read from.
        self._codes: Codes = {item.name: dict(item.given) for item in plan.items}
        slots = {level.level: windows_at_once(level, self._options.slots) for level in plan.levels}
        device = model.vqvae.vectors(0).device
        self._slots, self._meter = slots, Meter(model, plan.levels, slots, reading_rows(device))

    def run(self) -> Iterator[Event]:
        for note in self._plan.notes:
            yield Message(text=note)
        for level in self._plan.levels:
            yield from self._level(level)
        yield Finished(codes={name: dict(sorted(levels.items())) for name, levels in self._codes.items()})

    def _level(self, plan: LevelPlan) -> Iterator[Event]:
        strands = self._strands(plan)
        yield from self._new_notes()
        listening = Listening(self._model, plan, self._session, self._options.previews)
        lowest = plan is self._plan.levels[-1]
        stream = _Streams(self._model, plan, self._options.chunk_samples) if lowest and self._options.stream else None
        if any(not strand.done for strand in strands.values()):
            slots = min(self._slots[plan.level], sum(not strand.done for strand in strands.values()))
            engine, saved = self._engines(plan.level, slots), False
            self._meter.begin(plan, strands.values())
            writing = write_level(engine, list(strands.values()), self._options.pace)
            try:
                for new in writing:
                    saved = False
                    yield self._meter.progress(new)
                    if stream is not None:
                        yield from stream.events(self._prefixes(plan, strands))
                    if self._session is not None and self._session.due:
                        self._save(plan, strands)
                        saved = True
                        yield Saved(path=self._session.folder)
                        for path in listening.due(self._prefixes(plan, strands)):
                            yield Saved(path=path)
            finally:
                writing.close()
                if self._session is not None and not saved:
                    self._save(plan, strands)
            del engine, writing
        found = self._prefixes(plan, strands)
        for item in self._plan.items:
            self._codes[item.name][plan.level] = found[item.name]
        if stream is not None:
            yield from stream.events(found, last=True)
        for path in listening.whole(found):
            yield Saved(path=path)

    def _strands(self, plan: LevelPlan) -> dict[str, Strand]:
        """Every chain of a level, with what an earlier run has written of it."""
        kept = self._session.load_level(plan) if self._session is not None else {}
        strands = {}
        for item, chains in zip(self._plan.items, plan.chains, strict=True):
            given = item.given.get(plan.level, torch.zeros(0, dtype=torch.int64))
            for index, chain in enumerate(chains):
                name = f"{item.name}/{index}"
                strands[name] = Strand(
                    chain,
                    given[chain.start : chain.start + chain.known],
                    key=noise_key(self._seed, item.take, plan.level),
                    sampling=plan.sampling,
                    condition=self._condition(item, plan.level),
                    written=kept.get(name),
                )
        return strands

    def _condition(self, item: Item, level: int) -> Callable[[PlannedWindow], Conditions]:
        """The conditions of the windows of an item at a level."""
        model, known = self._model, self._model.level(level)
        tokens: SongTokens = item.tokens[level]
        above = self._codes[item.name].get(level + 1)

        def condition(window: PlannedWindow) -> Conditions:
            return window_conditions(model, level, item, window, tokens=tokens, above=above)

        assert known.config.upsampler is None or above is not None
        return condition

    def _prefixes(self, plan: LevelPlan, strands: dict[str, Strand]) -> dict[str, Tensor]:
        """The codes of a level of every item, as far as they have no hole."""
        return {
            item.name: prefix(
                joined(
                    [strands[f"{item.name}/{index}"] for index in range(len(chains))],
                    plan.length,
                    item.given.get(plan.level, torch.zeros(0, dtype=torch.int64)),
                )
            )
            for item, chains in zip(self._plan.items, plan.chains, strict=True)
        }

    def _save(self, plan: LevelPlan, strands: dict[str, Strand]) -> None:
        assert self._session is not None
        self._session.save_level(plan, strands)

    def _new_notes(self) -> Iterator[Event]:
        if self._session is not None:
            for note in self._session.notes:
                yield Message(text=note)
            self._session.notes.clear()


def windows_at_once(plan: LevelPlan, asked: int | None) -> int:
    """How many windows of a level are written at once, where so many are asked for; see `Options`."""
    chains = sum(len(item) for item in plan.chains)
    return max(1, min(asked or MOST_SLOTS // plan.sampling.rows, chains))


def window_conditions(
    model: SongModel,
    level: int,
    item: Item,
    window: PlannedWindow,
    *,
    tokens: SongTokens,
    above: Tensor | None,
) -> Conditions:
    """What the prior of a level is told of a window of an item.

    Args:
        model: that writes it.
        level: of the window.
        item: whose window it is.
        window: which one.
        tokens: the labels of the item at this level.
        above: codes of the level above, all of the item; the window's part is taken from them.
    """
    config, grid = model.level(level).config, model.grid
    labels = tokens.window(item.span(grid, level, window.start, config.codes_context), rounding="float32")
    part = None
    if config.upsampler is not None:
        assert above is not None
        unit = model.unit(level)
        part = above[window.start // unit : (window.start + config.codes_context) // unit][None]
    return conditions_of([labels], config, part)


class _Streams:
    """The sound of every item as its codes come."""

    def __init__(self, model: SongModel, plan: LevelPlan, chunk_samples: int) -> None:
        self._model, self._level, self._chunk_samples = model, plan.level, chunk_samples
        self._decoders: dict[str, tuple[StreamDecoder, list[int]]] = {}

    def events(self, codes: dict[str, Tensor], last: bool = False) -> Iterator[Event]:
        device = self._model.vqvae.vectors(self._level).device
        for name, found in codes.items():
            if name not in self._decoders:
                self._decoders[name] = (StreamDecoder(self._model.vqvae, self._level, self._chunk_samples), [0, 0])
            decoder, at = self._decoders[name]
            pieces = list(decoder.push(found[at[0] :].to(device)))
            at[0] = len(found)
            for sound in [*pieces, decoder.finish()] if last else pieces:
                if sound.shape[1]:
                    yield Audio(item=name, start_sample=at[1], samples=sound.cpu())
                    at[1] += sound.shape[1]

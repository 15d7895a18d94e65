"""The work on one level of all items: its strands, what is known of its codes, what is saved and heard of them."""

import time
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from jukebox.labels.labels import SongTokens
from jukebox.prior.conditions import Conditions, conditions_of
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import listened
from jukebox.sampling.events import Audio, Event, Saved
from jukebox.sampling.following import FollowedLyrics
from jukebox.sampling.listening import Listening
from jukebox.sampling.model import SongModel
from jukebox.sampling.noise import noise_key
from jukebox.sampling.plan import Item, LevelPlan
from jukebox.sampling.session import Session, centres_name
from jukebox.sampling.strand import UNWRITTEN, Strand, joined, prefix
from jukebox.sampling.windows import PlannedWindow
from jukebox.vqvae.streaming import StreamDecoder

# From one look for previews that are due to the next, at least; and so many times as long as it took.
_LISTEN_S, _SHARE = 0.3, 10.0


class LevelWork:
    """One level of all items.

    Args:
        plan: of the level.
        items: that are written.
        model: that writes them.
        seed: of the noise.
        above: the work on the level above; None for the first.
        session: where it is saved, and where a part of it may be.
        previews: kind of the files to listen to; None for none.
        stream: least samples of a piece of sound that is given as it becomes final; None for none.
    """

    def __init__(
        self,
        plan: LevelPlan,
        items: tuple[Item, ...],
        model: SongModel,
        *,
        seed: int,
        above: "LevelWork | None",
        session: Session | None,
        previews: str | None,
        stream: int | None,
    ) -> None:
        self.plan, self._items, self._model, self._above, self._session = plan, items, model, above, session
        kept = session.load_level(plan) if session is not None else {}
        self.strands: dict[str, Strand] = {}
        self._of_items: dict[str, list[Strand]] = {item.name: [] for item in items}
        self._owners: dict[Strand, Item] = {}
        self._followed: dict[Strand, FollowedLyrics] = {}
        self._prior: Prior | None = None
        for item, chains in zip(items, plan.chains, strict=True):
            given = self._given(item)
            for index, chain in enumerate(chains):
                name = f"{item.name}/{index}"
                strand = Strand(
                    chain,
                    given[chain.start : chain.start + chain.known],
                    key=noise_key(seed, item.take, plan.level),
                    sampling=plan.sampling,
                    condition=partial(self._condition, name),
                    written=kept.get(name),
                )
                self.strands[name], self._owners[strand] = strand, item
                if item.follows and plan.level == model.top:
                    centres = kept.get(centres_name(name))
                    self._followed[strand] = FollowedLyrics(item, model, chain, centres)
                self._of_items[item.name].append(strand)
        self._raw: dict[str, Int32[Tensor, " length"]] = {}
        self._listening = Listening(model, plan, session, previews)
        self._stream = None if stream is None else _Streams(model, plan, stream)
        self._unsaved, self._listen_s = False, 0.0

    @property
    def done(self) -> bool:
        """Whether all of it is written."""
        return all(strand.done for strand in self.strands.values())

    def accepted(self) -> None:
        """More codes are there than before."""
        self._raw.clear()
        self._unsaved = True

    def raw(self, item: Item) -> Int32[Tensor, " length"]:
        """The raw codes of an item, `UNWRITTEN` where there are none yet."""
        if item.name not in self._raw:
            self._raw[item.name] = joined(self._of_items[item.name], self.plan.length, self._given(item))
        return self._raw[item.name]

    def codes(self) -> dict[str, Int64[Tensor, " _"]]:
        """The codes of every item, as far as they have no hole."""
        return {item.name: prefix(self.raw(item)) for item in self._items}

    def ready(self, strand: Strand, window: PlannedWindow) -> bool:
        """Whether everything that a window of a strand is told is written."""
        if strand in self._followed and strand.count < window.first - strand.chain.start:
            return False
        above = self._codes_above(self._owners[strand])
        if above is None:
            return True
        told = part_above(self._model, self.plan.level, window, above)
        return not bool((told == UNWRITTEN).any())

    def save(self) -> None:
        """Save the codes so far, where that has not been done."""
        if self._session is not None and self._unsaved:
            followed = {name: self._followed.get(strand) for name, strand in self.strands.items()}
            centres = {name: lyrics.centres for name, lyrics in followed.items() if lyrics is not None}
            self._session.save_level(self.plan, self.strands, centres)
            self._unsaved = False

    def heard(self) -> list[Event]:
        """The sound that has become final, where it is wanted."""
        return [] if self._stream is None else list(self._stream.events(self.codes()))

    def previews(self) -> list[Event]:
        """The files that are due, which are written; looked for now and then."""
        began_s = time.monotonic()
        if began_s < self._listen_s:
            return []
        found: list[Event] = [Saved(path=path) for path in self._listening.due(self.codes())]
        now_s = time.monotonic()
        self._listen_s = now_s + max(_LISTEN_S, _SHARE * (now_s - began_s))
        return found

    def begin(self, prior: Prior) -> None:
        """An engine with this prior writes it: what is sung can be heard by it."""
        self._prior = prior

    def finish(self) -> list[Event]:
        """The rest of the sound, and the files of the whole level."""
        self._prior = None  # and its memory
        found = self.codes()
        sound = [] if self._stream is None else list(self._stream.events(found, last=True))
        return [*sound, *(Saved(path=path) for path in self._listening.whole(found))]

    def _given(self, item: Item) -> Int64[Tensor, " _"]:
        return item.given.get(self.plan.level, torch.zeros(0, dtype=torch.int64))

    def _codes_above(self, item: Item) -> Tensor | None:
        """Raw codes of the level above; None where the prior is not told of them."""
        if self._model.level(self.plan.level).config.upsampler is None:
            return None
        above = self._above.raw(item) if self._above is not None else item.given.get(self.plan.level + 1)
        assert above is not None
        return above

    def _condition(self, name: str, window: PlannedWindow) -> Conditions:
        """What the prior is told of a window of a strand."""
        strand, level = self.strands[name], self.plan.level
        item = self._owners[strand]
        above, tokens = self._codes_above(item), item.tokens[level]
        codes = None if above is None else listened(above.long())
        if strand in self._followed:
            assert self._prior is not None
            tokens = self._followed[strand].tokens(window, strand.codes, self._prior)
        return window_conditions(self._model, level, item, window, tokens=tokens, above=codes)


def window_conditions(
    model: SongModel,
    level: int,
    item: Item,
    window: PlannedWindow,
    *,
    tokens: SongTokens,
    above: Int64[Tensor, " above"] | None,
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
    config, grid, part = model.level(level).config, model.grid, None
    labels = tokens.window(item.span(grid, level, window.start, config.codes_context), rounding="float32")
    if config.upsampler is not None:
        assert above is not None
        part = part_above(model, level, window, above)[None]
    return conditions_of([labels], config, part)


def part_above(model: SongModel, level: int, window: PlannedWindow, above: Tensor) -> Tensor:
    """The codes of the level above that cover a window, as far as the item goes."""
    unit, context = model.unit(level), model.level(level).config.codes_context
    return above[window.start // unit : (window.start + context) // unit]


class _Streams:
    """The sound of every item as its codes come."""

    def __init__(self, model: SongModel, plan: LevelPlan, chunk_samples: int) -> None:
        self._model, self._level, self._chunk_samples = model, plan.level, chunk_samples
        self._decoders: dict[str, tuple[StreamDecoder, list[int]]] = {}

    def events(self, codes: Mapping[str, Tensor], last: bool = False) -> Iterator[Event]:
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

"""From a request to what is written: lengths in tokens, labels as numbers, chains of windows of every level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from jukebox.errors import ConfigError, LabelError
from jukebox.labels.labels import SongTokens
from jukebox.labels.timing import SongSpan, TimeGrid
from jukebox.prior.label_conditioner import label_tensors, shares
from jukebox.sampling.model import LevelModel, SongModel
from jukebox.sampling.request import SongRequest
from jukebox.sampling.token import SamplingConfig
from jukebox.sampling.windows import Chain, LevelWindows, given_windows, plan_chains

Codes = Int64[Tensor, " _"]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Codes that a song begins with.

    Args:
        codes: by level.
        start_s: where in their own song they began, in seconds.
        notes: sentences about them for the person who asked.
    """

    codes: Mapping[int, Codes]
    start_s: float = 0.0
    notes: tuple[str, ...] = ()


NOTHING = Beginning(codes={})


@dataclass(frozen=True, kw_only=True)
class Item:
    """One take of one song.

    Args:
        name: of its files.
        take: its number.
        tokens: its labels as numbers, by level.
        total_samples: length of the song that the labels speak of.
        offset_samples: where in it the music begins.
        given: codes that it begins with, by level.
        follows: whether a window of the top level is shown the lyrics around what is heard before it.
    """

    name: str
    take: int
    tokens: Mapping[int, SongTokens]
    total_samples: int
    offset_samples: int
    given: Mapping[int, Codes]
    follows: bool = False

    def span(self, grid: TimeGrid, level: int, start: int, context: int) -> SongSpan:
        """Where the window that begins at token `start` of a level lies in the song."""
        return SongSpan(
            total_length_samples=self.total_samples,
            offset_samples=self.offset_samples + grid.token_samples(level, start),
            window_length_samples=grid.token_samples(level, context),
        )


@dataclass(frozen=True, kw_only=True)
class LevelPlan:
    """How one level of all items is written.

    Args:
        level: which.
        length: tokens of it.
        sampling: how they are drawn.
        chains: by item.
        heard: by item, how many windows are read once more as lyrics follow what is sung; () where none are.
    """

    level: int
    length: int
    sampling: SamplingConfig
    chains: tuple[tuple[Chain, ...], ...]
    heard: tuple[int, ...] = ()

    @property
    def new_tokens(self) -> int:
        """Tokens that are to be written."""
        return sum(chain.new_tokens for chains in self.chains for chain in chains)

    @property
    def windows(self) -> int:
        """Windows that are to be written."""
        return sum(len(chain.windows) for chains in self.chains for chain in chains)


@dataclass(frozen=True, kw_only=True)
class SongPlan:
    """Everything that is to be done, coarsest level first; `notes` are sentences for the person who asked."""

    length_samples: int
    items: tuple[Item, ...]
    levels: tuple[LevelPlan, ...]
    notes: tuple[str, ...]


def plan_song(request: SongRequest, model: SongModel, beginnings: Sequence[Beginning] = (NOTHING,)) -> SongPlan:
    """Plan a request.

    Args:
        request: what is asked for.
        model: that writes it.
        beginnings: codes that the items begin with: one for all, or one for each.

    Raises:
        ConfigError: a level that the model does not have, or a length that cannot be.
        LabelError: names that the model does not know.
    """
    grid, top = model.grid, model.top
    if request.lowest_level > top:
        raise ConfigError(f"lowest_level is {request.lowest_level}; {model.name} has the levels 0 to {top}.")
    for settings in request.levels:
        model.level(settings.level)
    names, notes = request.item_names(), [note for beginning in beginnings for note in beginning.notes]
    if len(beginnings) not in (1, len(names)):
        raise ConfigError(f"There are {len(beginnings)} beginnings for {len(names)} songs; give one, or one for each.")
    begun = [beginnings[index % len(beginnings)] for index in range(len(names))]
    length = _length_samples(request, model, begun, notes)
    first = _first_level(model, begun, length)
    if first >= request.lowest_level:
        model.level(first)
    items = []
    for (song, take, name), beginning in zip(names, begun, strict=True):
        labels = request.songs[song]
        offset = grid.samples(labels.offset_s + beginning.start_s)
        total = _total_samples(request, model, song, offset + length, first, notes)
        tokens = {}
        for level in range(first, request.lowest_level - 1, -1):  # the top first: it decides what is heard
            known, told = model.level(level), request.level(level).labels(labels)
            tokens[level] = known.song(told)
            if known.forgiving and (missing := known.unknown_names(told)):
                notes.append(f"Level {level} does not know {', '.join(map(repr, missing))}: it is told 'unknown'.")
        item = Item(
            name=name,
            take=take,
            tokens=tokens,
            follows=request.follow_lyrics and first == top and _can_follow(tokens[top], model, song, notes),
            total_samples=total,
            offset_samples=offset,
            given={
                level: codes[: length // grid.hops[level]]
                for level, codes in beginning.codes.items()
                # A song is heard from its finest level: a part of one that is not written further would cut it short.
                if level >= request.lowest_level or len(codes) * grid.hops[level] >= length
            },
        )
        for level, song_tokens in tokens.items():  # what a prior would refuse is said before anything begins
            config = model.level(level).config
            if config.labels is not None:
                windows = [song_tokens.window(item.span(grid, level, 0, config.codes_context))]
                label_tensors(windows, config.labels)
                shares(windows, config.labels)
        items.append(item)
    levels = tuple(
        _level_plan(request, model, level, length, items) for level in range(first, request.lowest_level - 1, -1)
    )
    if not levels:
        notes.append("All codes are given already: only their sound is written.")
    return SongPlan(length_samples=length, items=tuple(items), levels=levels, notes=tuple(dict.fromkeys(notes)))


def _can_follow(tokens: SongTokens, model: SongModel, song: int, notes: list[str]) -> bool:
    """Whether there is a choice of what a window of the top level is shown; refuses what cannot be heard."""
    known = model.level(model.top)
    config, words = known.config, known.words
    if config.lyrics is None or config.lyrics.alignment_head is None:
        raise ConfigError(f"follow_lyrics needs an alignment head, and {model.name} has none: leave it out.")
    config.alignment_head()  # refuses one that the model cannot have
    if words is None or not words.alphabet.decode(tokens.lyric_tokens).strip():
        raise LabelError(f"follow_lyrics is asked for, but song {song + 1} has no lyrics: give some, or leave it out.")
    if tokens.lyric_times is not None:
        notes.append(f"The lyrics of song {song + 1} have times, which they are sung at: they are not followed.")
    return tokens.can_be_followed


def _length_samples(request: SongRequest, model: SongModel, begun: Sequence[Beginning], notes: list[str]) -> int:
    """Length of every item: whole tokens of the top level."""
    grid = model.grid
    if request.seconds is None:
        lengths = {given_samples(model, each) for each in begun}
        if len(lengths) != 1:
            raise ConfigError("The given codes have several lengths; say how long the songs are to be (seconds).")
        asked = lengths.pop()
    else:
        asked = grid.samples(request.seconds)
    length = grid.whole_tokens_samples(asked)
    if length < grid.coarsest_hop:
        raise ConfigError(
            f"A song of {asked} samples is shorter than one token of the top level, {grid.coarsest_hop} samples "
            f"({grid.coarsest_hop / grid.sample_rate:.4f} seconds): give more seconds."
        )
    rounded, exact = (f"{grid.seconds(samples):.3f}" for samples in (length, asked))
    if rounded != exact:
        notes.append(f"The length is {rounded} seconds: {exact} rounded to whole tokens of the top level.")
    return length


def given_samples(model: SongModel, beginning: Beginning) -> int:
    """How much a beginning has, of the level that reaches farthest."""
    hops = model.grid.hops
    return max((len(codes) * hops[level] for level, codes in beginning.codes.items()), default=0)


def _first_level(model: SongModel, begun: Sequence[Beginning], length: int) -> int:
    """The coarsest level that is to be written: below the finest one that is whole, where every item has it."""
    hops = model.grid.hops
    whole = [
        level
        for level in range(model.top + 1)
        if all(len(each.codes.get(level, ())) * hops[level] >= length for each in begun)
    ]
    return model.top if not whole else min(whole) - 1


def _total_samples(request: SongRequest, model: SongModel, song: int, end: int, first: int, notes: list[str]) -> int:
    """Length of the song that the labels speak of."""
    grid, asked = model.grid, request.songs[song].total_duration_s
    if asked is not None:
        total = grid.samples(asked)
        if total < end:
            raise LabelError(
                f"total_duration_s is {asked}, but the music ends at {end / grid.sample_rate:.2f} seconds (offset and "
                "length): give a longer total, or leave it out."
            )
        return total
    limits = [
        level.config.labels
        for number, level in model.levels.items()
        if (number <= first or request.songs[song].lyrics)  # the top reads off when lyrics are sung, also where given
        and level.config.labels is not None
        and level.config.labels.timing_bins is not None
    ]
    shortest_s = max((limit.min_duration_s or 0.0 for limit in limits), default=0.0)
    if end >= shortest_s * grid.sample_rate:
        return end
    tokens = -(-shortest_s * grid.sample_rate // grid.coarsest_hop)
    total = int(tokens) * grid.coarsest_hop
    notes.append(
        f"The labels speak of a song of {total / grid.sample_rate:.2f} seconds, the shortest that {model.name} knows; "
        "say total_duration_s for another."
    )
    return total


def _level_plan(request: SongRequest, model: SongModel, level: int, length: int, items: Sequence[Item]) -> LevelPlan:
    settings, known = request.level(level), model.level(level)
    tokens = length // model.grid.hops[level]
    layout = LevelWindows(
        context=known.config.codes_context,
        hop=hop_tokens(request, model, level),
        unit=model.unit(level),
        chains=_parts(request, model, level),
        one_window=settings.one_window,
    )
    chains = tuple(plan_chains(tokens, len(item.given.get(level, ())), layout) for item in items)
    heard = tuple(
        sum(_heard(chain, layout.context) for chain in each) if item.follows else 0
        for item, each in zip(items, chains, strict=True)
    )
    return LevelPlan(
        level=level,
        length=tokens,
        sampling=_sampling(settings.sampling(known.sampling), known, model.name),
        chains=chains,
        heard=heard if level == model.top and any(heard) else (),
    )


def _heard(chain: Chain, context: int) -> int:
    """How many windows are heard where lyrics are followed: all but the last, and those of given codes before them."""
    return len(given_windows(chain, context)) + len(chain.windows) - 1


def _sampling(sampling: SamplingConfig, known: LevelModel, name: str) -> SamplingConfig:
    """The same; refuses guidance of a prior that was always told everything."""
    hidden = known.config.condition_dropout
    if sampling.guidance != 1.0 and not (hidden.artist or hidden.genre or hidden.lyrics):
        raise ConfigError(
            f"guidance is {sampling.guidance} at level {known.config.level}, but {name} was not trained with hidden "
            "conditions there: leave it out."
        )
    return sampling


def hop_tokens(request: SongRequest, model: SongModel, level: int) -> int:
    """Tokens from one window of a level to the next, at least 1: as asked, or as is usual for the model."""
    asked, known = request.level(level).hop_fraction, model.level(level)
    fraction = known.hop_fraction if asked is None else asked
    return max(1, int(fraction * known.config.codes_context))


def _parts(request: SongRequest, model: SongModel, level: int) -> int:
    """How many parts a level is written in side by side: the top, which makes the song's structure, in one."""
    if level == model.top:
        return 1
    usual = model.level(level).parallel_windows
    return usual if request.parallel_windows is None else request.parallel_windows

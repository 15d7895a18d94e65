"""What generating needs to know of a model: its levels, their words and what is usual for them."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from jukebox.config import PriorConfig
from jukebox.errors import ConfigError, LabelError
from jukebox.labels.labels import LabelEncoder, Labels, SongTokens
from jukebox.labels.timing import TimeGrid
from jukebox.labels.vocabulary import EMPTY_GENRE_ID
from jukebox.sampling.request import SongRequest
from jukebox.sampling.token import SamplingConfig
from jukebox.vqvae.vqvae import VQVAE


@dataclass(frozen=True, kw_only=True)
class LevelModel:
    """One level of a model.

    Args:
        config: of its prior.
        words: names and characters that it knows; None for a prior without labels.
        sampling: how codes are usually drawn.
        hop_fraction: usual for it.
        parallel_windows: parts that it is usually written in side by side; more than 1 is an approximation.
        forgiving: an unknown name counts as "unknown" instead of being refused.
        half: whether its matrices are stored in half precision.
    """

    config: PriorConfig
    words: LabelEncoder | None
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(temperature=0.99))
    hop_fraction: float = 0.5
    parallel_windows: int = 1
    forgiving: bool = False
    half: bool = False

    def song(self, labels: Labels) -> SongTokens:
        """The numbers of a song at this level; raises LabelError for unknown names unless it is forgiving."""
        if self.words is None:
            return SongTokens(artist_id=0, genre_ids=(), lyric_tokens=(), lyric_window=0)
        tokens = replace(self.words, unknown_is_zero=self.forgiving).song(labels)
        slots = self.config.labels.genre_slots if self.config.labels is not None else 0
        blend = tuple(replace(each, genre_ids=_in_slots(each.genre_ids, slots)) for each in tokens.blend)
        return replace(tokens, genre_ids=_in_slots(tokens.genre_ids, slots), blend=blend)

    def unknown_names(self, labels: Labels) -> list[str]:
        """Which of a song's names this level does not know."""
        if self.words is None:
            return []
        found = []
        named = [(labels.artist, labels.genre), *((each.artist, each.genre) for each in labels.blend)]
        artists, genres = zip(*named, strict=True)
        known = [(name, self.words.vocabulary.artist_id) for name in artists]
        for name, look_up in [*known, *((name, self._genre) for name in genres)]:
            if name is None:
                continue
            try:
                look_up(name)
            except LabelError:
                found.append(name)
        return found

    def _genre(self, name: str) -> tuple[int, ...]:
        assert self.words is not None
        return self.words.vocabulary.genre_ids(name)


@dataclass(frozen=True)
class SongModel:
    """A whole model without its priors' weights.

    Args:
        name: as it was asked for.
        vqvae: in evaluation mode, on its device.
        levels: by number, the finest is 0; a level without a prior is missing.
        usual: the song that it writes where nothing is asked for.
    """

    name: str
    vqvae: VQVAE
    levels: dict[int, LevelModel]
    usual: SongRequest = field(default_factory=lambda: SongRequest(seconds=10.0))

    @cached_property
    def grid(self) -> TimeGrid:
        """Its sample rate and hops."""
        return TimeGrid(sample_rate=self.vqvae.config.sample_rate, hops=self.vqvae.config.hops)

    @property
    def top(self) -> int:
        """The number of its coarsest level."""
        return self.vqvae.config.levels - 1

    def unit(self, level: int) -> int:
        """Tokens of a level for each token of the level above; 1 at the top."""
        return self.grid.ratio(level)

    def level(self, level: int) -> LevelModel:
        """A level that has a prior; raises ConfigError where it has none."""
        if level not in self.levels:
            there = ", ".join(map(str, sorted(self.levels))) or "none"
            raise ConfigError(f"The model {self.name} has no prior of level {level}; its levels are {there}.")
        return self.levels[level]


def _in_slots(genre_ids: tuple[int, ...], slots: int) -> tuple[int, ...]:
    return (*genre_ids, *[EMPTY_GENRE_ID] * slots)[:slots]

"""What a person asks for: one value that a run can be repeated from, also as a YAML or JSON file."""

import dataclasses
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukebox import presets
from jukebox.config import Config
from jukebox.config.base import require
from jukebox.errors import ConfigError
from jukebox.labels.labels import Labels
from jukebox.sampling.token import SamplingConfig

MOST_ITEMS = 10_000
"""Takes of all songs of a request: each has files of its own, and a plan in memory."""


@dataclass(frozen=True, kw_only=True)
class LevelSettings(Config, called="a level's settings"):
    """How one level is written; None takes what is usual for the model.

    Args:
        level: 0 is the finest.
        temperature, top_k, top_p, guidance: as in `SamplingConfig`; a top_p of 1 draws among all tokens.
        hop_fraction: how far a window moves on, as a share of its length.
        one_window: write what is missing in one window that ends with the song.
        artist, genre: names for this level in place of the songs' own: levels may know other lists of names.
    """

    level: int
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    guidance: float | None = None
    hop_fraction: float | None = None
    one_window: bool = False
    artist: str | None = None
    genre: str | None = None

    def __post_init__(self) -> None:
        require(self.level >= 0, self, "level", "0 or more")
        fraction = self.hop_fraction
        require(fraction is None or 0 < fraction <= 1, self, "hop_fraction", "a share of a window above 0, up to 1")
        try:
            self.sampling(SamplingConfig())
        except ConfigError as error:
            raise ConfigError(f"Level {self.level}: {error}") from error

    def labels(self, song: Labels) -> Labels:
        """A song as this level is told of it."""
        named = {"artist": self.artist, "genre": self.genre}
        return dataclasses.replace(song, **{name: value for name, value in named.items() if value is not None})

    def sampling(self, usual: SamplingConfig) -> SamplingConfig:
        """How tokens are drawn where this is usual for the model."""
        asked = {name: getattr(self, name) for name in ("temperature", "top_k", "top_p", "guidance")}
        return dataclasses.replace(usual, **{name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Prime(Config, called="the recording"):
    """A recording that every song begins with: `duration_s` seconds (None: all) from `start_s` on."""

    recording: str
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        _require_range(self)


@dataclass(frozen=True, kw_only=True)
class Given(Config, called="a part"):
    """Codes that exist already: they begin the song, or are all of it where only finer levels are to be written.

    Args:
        source: a codes file, or the folder of an earlier session.
        item: which song of a session, by its name there; None where it has one, or as many as are asked for.
        levels: which levels to take; None for all.
        start_s, duration_s: the part to take; it becomes the beginning. Where it starts and where it ends are both
            rounded down to whole tokens of the top level. None: to the end.
    """

    source: str
    item: str | None = None
    levels: tuple[int, ...] | None = None
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        _require_range(self)
        require(self.levels is None or len(self.levels) > 0, self, "levels", "at least one level, or none named")


def _require_range(part: Prime | Given) -> None:
    require(math.isfinite(part.start_s) and part.start_s >= 0, part, "start_s", "a number of seconds, 0 or more")
    length = part.duration_s
    require(length is None or (math.isfinite(length) and length > 0), part, "duration_s", "seconds above 0, or none")


@dataclass(frozen=True, kw_only=True)
class SongRequest(Config, called="the request"):
    """Everything that decides which bytes come out.

    Args:
        model: "mini", a released model's name, "tiny-random", or a folder.
        songs: what is sung in each; they are written side by side.
        seconds: length of each song, the beginning that is given included. None: as long as the given codes.
        takes: how many versions of each song.
        first_take: number of the first of them. A take is the same alone and among others.
        seed: of the noise.
        levels: settings of the levels that differ from what is usual.
        lowest_level: the finest level to write, which the song is heard from.
        parallel_windows: parts that each level but the top is written in, side by side; 1 is exact.
            None: as is usual for the model.
        follow_lyrics: a window of the top level is shown the lyrics around what is heard to be sung, in place of those
            that would be there if they were spread evenly over the song. Lyrics with times are sung at these.
        prime: a recording to begin with.
        given: codes to begin with.
        joined: more of them, which follow those one after another.
    """

    model: str = presets.MINI
    songs: tuple[Labels, ...] = (Labels(),)
    seconds: float | None = None
    takes: int = 1
    first_take: int = 0
    seed: int = 0
    levels: tuple[LevelSettings, ...] = ()
    lowest_level: int = 0
    parallel_windows: int | None = None
    follow_lyrics: bool = False
    prime: Prime | None = None
    given: Given | None = None
    joined: tuple[Given, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.model), self, "model", "the name or folder of a model")
        require(len(self.songs) >= 1, self, "songs", "at least one song")
        for name, least in (("takes", 1), ("first_take", 0), ("lowest_level", 0)):
            require(getattr(self, name) >= least, self, name, f"{least} or more")
        most = MOST_ITEMS // max(1, len(self.songs))
        require(self.takes <= most, self, "takes", f"{most} or fewer at once, for {len(self.songs)} songs")
        chains = self.parallel_windows
        require(chains is None or chains >= 1, self, "parallel_windows", "1 or more, or none")
        length = self.seconds
        holds = length is None or (math.isfinite(length) and length > 0)
        require(holds, self, "seconds", "a length in seconds above 0")
        require(length is not None or self.given is not None, self, "seconds", "a length, as no codes are given")
        once = len({settings.level for settings in self.levels}) == len(self.levels)
        require(once, self, "levels", "each level at most once")
        if self.prime is not None and self.given is not None:
            raise ConfigError("The request has both a recording (prime) and codes (given) to begin with: give one.")
        if self.joined and self.given is None:
            raise ConfigError("The request has parts that follow (joined), but none that they follow: give it (given).")

    @property
    def parts(self) -> tuple[Given, ...]:
        """The codes to begin with, one after another."""
        return () if self.given is None else (self.given, *self.joined)

    def level(self, level: int) -> LevelSettings:
        """The settings of a level."""
        return next((each for each in self.levels if each.level == level), LevelSettings(level=level))

    def item_names(self) -> tuple[tuple[int, int, str], ...]:
        """Song, take and name of everything that is written: "song", "song_2", "song_take_3", "song_2_take_3"."""
        several, many = len(self.songs) > 1, self.takes > 1 or self.first_take > 0
        return tuple(
            (song, take, "song" + (f"_{song + 1}" if several else "") + (f"_take_{take}" if many else ""))
            for song in range(len(self.songs))
            for take in range(self.first_take, self.first_take + self.takes)
        )

    def to_yaml(self) -> str:
        """The request as a YAML file that `from_text` reads; what is usual is left out."""
        import yaml

        return yaml.safe_dump(_told(self), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_text(cls, text: str, where: str = "The request") -> "SongRequest":
        """The request in a YAML or JSON text.

        Raises:
            ConfigError: when it is neither, or a field is unknown, missing or outside its range.
        """
        import yaml

        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{where} is neither YAML nor JSON ({reason}); correct it.") from error
        if not isinstance(values, dict):
            found = "empty" if values is None else reprlib.repr(values)
            raise ConfigError(f"{where} is {found}; expected an object with named fields, as in `seconds: 10`.")
        return cls.from_dict(values)

    @classmethod
    def read(cls, path: str | Path) -> "SongRequest":
        """The request in a file; raises ConfigError when it cannot be read or is none."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read ({error}); name a YAML or JSON file of a request.") from error
        return cls.from_text(text, str(path))


def _told(value: Any) -> Any:
    """A configuration as plain values without the fields that have their usual value."""
    if isinstance(value, tuple):
        return [_told(each) for each in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = ((field.name, getattr(value, field.name), field.default) for field in dataclasses.fields(value))
    return {name: _told(content) for name, content, usual in fields if content != usual}

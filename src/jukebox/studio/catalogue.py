"""The models that a studio writes with: which there are, what they know, and each loaded once."""

import dataclasses
import threading
from typing import Any, Literal

from jukebox import presets
from jukebox.cache import is_cached
from jukebox.config.prior import ConditionDropout
from jukebox.data.names import glossary_of
from jukebox.engines import EngineSettings, Precision
from jukebox.errors import ConfigError, LabelError
from jukebox.labels.description import Described, describe
from jukebox.labels.labels import LabelEncoder
from jukebox.pipeline import Jukebox, load

_MOST_NAMES = 200


class Catalogue:
    """Models by name.

    Args:
        names: that are offered, the first where none is chosen; mini and the released models that are here follow.
        device: where they compute; None for a GPU where there is one.
        settings: how codes are computed.
    """

    def __init__(self, names: tuple[str, ...] = (), device: str | None = None, settings: EngineSettings | None = None):
        here = (name for name, model in presets.RELEASED.items() if all(is_cached(file.path) for file in model.files))
        mini = (presets.MINI,) if any(presets.MINI_FOLDER.glob("*/config.json")) else ()
        self.names = tuple(dict.fromkeys([*names, *mini, *here]))
        self._device, self._settings = device, settings or EngineSettings()
        self._loaded: dict[tuple[str, str], Jukebox] = {}
        self._lock = threading.Lock()

    def jukebox(self, name: str, precision: Precision | None = None) -> Jukebox:
        """A model, loaded; in the precision that a song was begun in, else in the studio's.

        Raises:
            CheckpointError, ConfigError: there is no such model, or it cannot be used so.
        """
        settings = self._settings if precision is None else dataclasses.replace(self._settings, precision=precision)
        key = (name, settings.precision)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = load(name, self._device, settings)
            return self._loaded[key]

    def offered(self, name: str) -> Jukebox:
        """A model of those that are offered: a request over the network names no other folder."""
        if name not in self.names:
            raise ConfigError(
                f"The model {name!r} is not offered here, only {', '.join(self.names)}; start the studio with --model."
            )
        return self.jukebox(name)

    def only(self, jukebox: Jukebox) -> None:
        """Forget every other model: on a GPU each keeps its priors there."""
        with self._lock:
            self._loaded = {key: known for key, known in self._loaded.items() if known is jukebox}

    def description(self, name: str) -> dict[str, Any]:
        """What a form needs to know of a model, as JSON values."""
        model, words = self.offered(name).model, self._words(name)
        top = model.levels.get(model.top)
        labels, lyrics = (top.config.labels, top.config.lyrics) if top is not None else (None, None)
        return {
            "name": name,
            "top": model.top,
            "sample_rate": model.grid.sample_rate,
            "levels": [
                {
                    "level": level,
                    "sampling": dataclasses.asdict(known.sampling),
                    "hop_fraction": known.hop_fraction,
                    "window_s": model.grid.token_seconds(level, known.config.codes_context),
                    "guided": known.config.condition_dropout != ConditionDropout(),
                }
                for level, known in sorted(model.levels.items(), reverse=True)
            ],
            "sings": bool(words is not None and words.lyric_window),
            "follows": lyrics is not None and lyrics.alignment_head is not None,
            "artists": len(words.vocabulary.artists) if words is not None else 0,
            "genres": len(words.vocabulary.genres) if words is not None else 0,
            "min_total_s": labels.min_duration_s if labels is not None else None,
            "max_total_s": labels.max_duration_s if labels is not None else None,
            "usual": dataclasses.asdict(model.usual),
        }

    def search(self, name: str, kind: Literal["artists", "genres"], text: str) -> list[str]:
        """Names that a model knows: those like a text, or the first in the alphabet."""
        words = self._words(name)
        if words is None:
            return []
        known = words.vocabulary.artists if kind == "artists" else words.vocabulary.genres
        if text.strip():
            return list(known.search(text, _MOST_NAMES))
        return sorted({each for each, _ in known.entries if each})[:_MOST_NAMES]

    def described(self, name: str, description: str) -> Described:
        """Artist and genre of a model that come nearest to a description; raises LabelError where none is near."""
        words = self._words(name)
        if words is None:
            raise LabelError(f"{name} knows no artists and genres; leave the description out.")
        return describe(description, words.vocabulary, glossary_of(name))

    def lyrics_as_read(self, name: str, lyrics: str) -> str:
        """Lyrics as a model reads them: what it has no character for is left out or written otherwise."""
        words = self._words(name)
        return lyrics if words is None else words.alphabet.clean(lyrics)

    def _words(self, name: str) -> LabelEncoder | None:
        """The names and characters of a model's top level; None where it has none."""
        model = self.offered(name).model
        top = model.levels.get(model.top)
        return top.words if top is not None else None

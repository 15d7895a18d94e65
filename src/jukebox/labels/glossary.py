"""What listeners say of music: names of genres (and of a model's voices) with the words that describe them.

A description is compared with the entries as a text is searched for: words that few entries have count most (BM25). On
a hundred descriptions by somebody who had not seen the glossary, that found a right genre more often than the distances
of a small sentence encoder did, and it says by which words (docs/decisions/0012).
"""

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jukebox.errors import DataError
from jukebox.labels.negation import split_denied

BUILT_IN = Path(__file__).parent / "glossary.txt"

# How often a word stands in an entry counts less and less; longer entries have to have a little more of it.
_SATURATION, _LENGTH = 1.2, 0.3
_IN_NAME, _IN_WORDS, _IN_BROADER = 2.0, 1.0, 0.5
_NAMED, _NAMED_WORD = 4.0, 2.0

# Words of so many letters may be misspelt; two spellings are alike from this ratio of difflib on.
_LEAST_SPELT, _SPELT_ALIKE = 5, 0.84

_DENIED = "-"  # before a word in "without words"

_SILENT = frozenset(
    re.findall(
        r"\w+",
        "a an and the of to in on with for from over by at is it as or that my me i you your something some song songs "
        "music like very little into about without no not never be are was his her their they one two out up s",
    )
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One genre or voice.

    Args:
        names: its own first, then other names for the same.
        broader: genres that it is a kind of, the nearest first.
        words: how it is described.
    """

    names: tuple[str, ...]
    broader: tuple[str, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry that fits a description: how well, and by which of the description's words."""

    entry: Entry
    score: float
    because: tuple[str, ...]


@dataclass(frozen=True)
class Glossary:
    """Entries that can be searched."""

    entries: tuple[Entry, ...]

    @classmethod
    def from_text(cls, text: str, where: str = "The glossary") -> "Glossary":
        """The glossary in lines of `name, other name < broader, broader: words`; `#` begins a comment.

        Raises:
            DataError: a line has no name or no words.
        """
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            head, colon, words = line.partition(":")
            names, _, broader = head.partition("<")
            entry = Entry(names=_listed(names), broader=_listed(broader), words=words.strip())
            if not (entry.names and colon and entry.words):
                raise DataError(
                    f"Line {number} of {where} is {line!r}; write it as `name, other name < broader: words`."
                )
            found.append(entry)
        return cls(tuple(found))

    @classmethod
    def read(cls, path: Path) -> "Glossary":
        """The glossary in a file; raises DataError where it cannot be read or is none."""
        try:
            return cls.from_text(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}); restore it, or remove it.") from error

    def of_names(self, names: Iterable[str]) -> "Glossary":
        """The same, and an entry for each name that it lacks, which is found by the words of the name alone."""
        known = {plain(name) for entry in self.entries for name in entry.names}
        missing = {plain(name): name for name in names if plain(name) and plain(name) not in known}
        return Glossary((*self.entries, *(Entry(names=(name,), broader=(), words="") for name in missing.values())))

    def search(self, description: str) -> list[Match]:
        """Entries that fit a description, the best first; those without a common word are left out."""
        spoken = f" {' '.join(map(self._known, plain(split_denied(description)[0]).split()))} "
        asked = {self._known(word): word.replace(_DENIED, "no ") for word in reversed(_words(description))}
        found = []
        for entry, weights in zip(self.entries, self._weights, strict=True):
            length = _SATURATION * (1 - _LENGTH + _LENGTH * sum(weights.values()) / self._usual_length)
            scores = {
                word: self._rarity[stem] * weights[stem] * (_SATURATION + 1) / (weights[stem] + length)
                for stem, word in asked.items()
                if stem in weights
            }
            score = sum(scores.values()) + max(_said(name, spoken) for name in entry.names)
            if score > 0:
                because = sorted(scores, key=lambda word: -scores[word])
                found.append(Match(entry=entry, score=score, because=tuple(because)))
        return sorted(found, key=lambda match: -match.score)

    def _known(self, word: str) -> str:
        """The stem of a word, or the one that is spelt nearly so where no entry has it."""
        stem = _stem(word)
        if stem in self._rarity or len(stem) < _LEAST_SPELT or stem.startswith(_DENIED):
            return stem
        return next(iter(difflib.get_close_matches(stem, self._rarity, n=1, cutoff=_SPELT_ALIKE)), stem)

    @cached_property
    def _weights(self) -> list[dict[str, float]]:
        return [_weights_of(entry) for entry in self.entries]

    @cached_property
    def _usual_length(self) -> float:
        return sum(sum(weights.values()) for weights in self._weights) / max(1, len(self.entries))

    @cached_property
    def _rarity(self) -> Mapping[str, float]:
        """How much a word says: the logarithm of how few entries have it."""
        holding, number = Counter(stem for weights in self._weights for stem in weights), len(self.entries)
        return {stem: math.log(1 + (number - times + 0.5) / (times + 0.5)) for stem, times in holding.items()}


@cache
def built_in() -> Glossary:
    """The glossary of genres that is part of the package."""
    return Glossary.read(BUILT_IN)


def plain(name: str) -> str:
    """A name or text in lower case with single spaces for everything that is no letter, number or `&`."""
    return re.sub(r"[\W_]+", " ", name.lower().replace("&", " & "), flags=re.UNICODE).replace(" n ", " and ").strip()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _said(name: str, spoken: str) -> float:
    """What it counts that a name itself is in a description, given as stems, also written in one word."""
    stems = [_stem(word) for word in plain(name).split()]
    if f" {' '.join(stems)} " in spoken or f" {_joined(name)} " in spoken:
        return _NAMED + _NAMED_WORD * len(stems)
    return 0.0


def _joined(name: str) -> str:
    return _stem("".join(plain(name).split()))


def _weights_of(entry: Entry) -> dict[str, float]:
    weights = defaultdict[str, float](float)
    for texts, weight in ((entry.names, _IN_NAME), ((entry.words,), _IN_WORDS)):
        for word in (word for text in texts for word in _words(text)):
            weights[_stem(word)] += weight
    for name in entry.names:
        if " " in plain(name):
            weights[_joined(name)] += _IN_NAME
    for stem in {_stem(word) for name in entry.broader for word in _words(name)}:
        weights[stem] += _IN_BROADER
    return dict(weights)


def _words(text: str) -> Sequence[str]:
    """The words that say something; those that are denied with a sign, and found where an entry denies them too."""
    said, denied = (re.findall(r"[\w']+", part.lower().replace("-", " ")) for part in split_denied(text))
    return [word for word in said if word not in _SILENT] + [_DENIED + word for word in denied if word not in _SILENT]


def _stem(word: str) -> str:
    """A word without what English adds to it: plural, -ing, -ed, -y, a last -e."""
    if word.startswith(_DENIED):
        return _DENIED + _stem(word.removeprefix(_DENIED))
    word = word.strip("'").removesuffix("'s")
    if len(word) > 4 and word.endswith(("ies", "y")):
        word = word.removesuffix("ies").removesuffix("y")
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            word = word.removesuffix(ending)
            return word[:-1] if word[-1] == word[-2] and word[-1] not in "sl" else word
    if word.endswith("es") and len(word) > 4 and word[-3] in "sxzh":
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word

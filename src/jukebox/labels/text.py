"""Lyrics to tokens and back, for the released alphabets and for a character set of one's own."""

import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from jukebox.config import Config
from jukebox.errors import ConfigError, LabelError
from jukebox.labels.transliteration import to_ascii

PADDING_TOKEN = 0


@dataclass(frozen=True, kw_only=True)
class LyricAlphabet(Config):
    """The characters a lyric model knows: token t stands for `characters[t - 1]`, token 0 for "nothing".

    Args:
        characters: every character once, in the order of their tokens. Any script. When there are no capital
            letters among them, lyrics are lower-cased first instead of losing their capitals.

    Raises:
        ConfigError: when the alphabet is empty or has a character twice.
    """

    characters: str

    def __post_init__(self) -> None:
        if not self.characters:
            raise ConfigError("The lyric alphabet is empty: give the characters that lyrics may contain.")
        twice = sorted({c for c in self.characters if self.characters.count(c) > 1})
        if twice:
            raise ConfigError(f"The lyric alphabet has {''.join(twice)!r} more than once: give each character once.")

    @property
    def token_count(self) -> int:
        """Number of different tokens, the empty one included: the size of the embedding table."""
        return len(self.characters) + 1

    @cached_property
    def _tokens(self) -> dict[str, int]:
        return {character: index + 1 for index, character in enumerate(self.characters)}

    def clean(self, lyrics: str) -> str:
        """Lyrics as the model can read them: only characters of the alphabet.

        A character of the alphabet stays as it is; any other is spelled in ASCII, a backslash becomes a new
        line, and what is then still unknown is dropped. Idempotent. Source: the released models' clean-up.
        """
        if not self.characters.isascii():
            lyrics = unicodedata.normalize("NFC", lyrics)  # e + accent is the é of the alphabet
        if self.characters == self.characters.lower():
            lyrics = lyrics.lower()
        return "".join(c if c in self._tokens else self._spell(c) for c in lyrics)

    def _spell(self, character: str) -> str:
        spelled = to_ascii(character).replace("\\", "\n")
        return "".join(c for c in spelled if c in self._tokens)

    def encode(self, lyrics: str) -> tuple[int, ...]:
        """The tokens of the cleaned lyrics, each in 1..token_count-1: one per character of `clean`."""
        return tuple(self._tokens[c] for c in self.clean(lyrics))

    def decode(self, tokens: Iterable[int]) -> str:
        """The text that tokens stand for; the empty token 0 gives nothing.

        Raises:
            LabelError: when a token is not of this alphabet.
        """
        tokens = tuple(tokens)
        for token in tokens:
            if not 0 <= token < self.token_count:
                raise LabelError(
                    f"The lyric token {token} is outside 0..{self.token_count - 1}: "
                    "decode with the alphabet that made it."
                )
        return "".join(self.characters[token - 1] for token in tokens if token != PADDING_TOKEN)


_RELEASED = string.ascii_uppercase + string.ascii_lowercase + string.digits + ".,:;!?-+'\"()[] \t\n"

V2_ALPHABET = LyricAlphabet(characters=_RELEASED)
"""The 79 characters of the released 5b_lyrics model."""

V3_ALPHABET = LyricAlphabet(characters=_RELEASED.replace("+", ""))
"""The 78 characters of the released 1b_lyrics model: those of v2 without the plus sign."""

"""What a prior is: its transformer, and everything it is conditioned on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from jukebox.config.base import Config, require
from jukebox.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(Config):
    """A stack of sparse attention layers (facts 3.1, 3.2, 4).

    `attention` names the pattern of every layer by a letter: R row, C column, P previous row, D dense, X cross,
    L look-back at the lyrics prefix, W the last `window` positions, S every `stride`-th position, F the last `tail`
    positions of every row, E the end of each earlier row and one empty key, T the last `tail` positions of each and
    as many empty keys. Letters in brackets are one layer that sees what any of them sees: `(RC)`.
    Rows have `context / rows` positions. Ratios are relative to the width.

    `position` "rotary" turns queries and keys by their position, in place of a table of positions; `query_key_norm`
    normalises them. Both are for new models.
    """

    context: int
    width: int
    attention: str
    heads: int
    rows: int | None
    attention_ratio: float = 0.25
    mlp_ratio: float = 1.0
    tail: int | None = None
    window: int | None = None
    stride: int | None = None
    position: Literal["learned", "rotary"] = "learned"
    query_key_norm: bool = False
    init_scale: float = 1.0
    residual_scale: bool = False
    zero_output: bool = False

    def __post_init__(self) -> None:
        grammar = re.fullmatch(r"([RCPDXLETWSF]|\([RCPDLETWSF]{2,}\))+", self.attention)
        once = all(len(set(layer)) == len(layer) for layer in self.layers)
        expected = "letters of RCPDXLETWSF, those of one layer in brackets (there without X, each once)"
        require(grammar is not None and once, self, "attention", expected)
        for name in ("context", "width", "heads"):
            require(getattr(self, name) >= 1, self, name, "1 or more")
        for name, letters in (("rows", "RCPLETF"), ("tail", "TF"), ("window", "W"), ("stride", "S")):
            value, needed = getattr(self, name), set(self.attention) & set(letters)
            unit = "rows" if name == "rows" else "positions"
            require(value is not None or not needed, self, name, f"a number of {unit}, for {self.attention!r}")
            require(value is None or 1 <= value <= self.context, self, name, f"1 to {self.context}")
        if self.rows is not None:
            require(self.context % self.rows == 0, self, "rows", f"a divisor of {self.context}")
            length = self.context // self.rows
            require(self.tail is None or self.tail <= length, self, "tail", f"at most a row's length, {length}")
        require(self.attention_width % self.heads == 0, self, "heads", f"a divisor of {self.attention_width}")
        even = self.head_width % 2 == 0
        require(even or self.position == "learned", self, "position", f"learned, for heads of {self.head_width}")

    @property
    def layers(self) -> tuple[str, ...]:
        """The letters of each layer; more than one where a layer sees what any of several patterns sees."""
        return tuple(layer.strip("()") for layer in re.findall(r"\(.*?\)|.", self.attention))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def attention_width(self) -> int:
        """Width of queries, keys and values, all heads together."""
        return int(self.attention_ratio * self.width)

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.attention_width // self.heads

    @property
    def mlp_width(self) -> int:
        """Hidden width of the MLP."""
        return int(self.mlp_ratio * self.width)


@dataclass(frozen=True, kw_only=True)
class LabelConfig(Config):
    """Sizes of the artist and genre tables; timing only where the prior is told the position in the song.

    Timing is given in samples of `sample_rate`; songs are `min_duration_s` to less than `max_duration_s` long.
    Artist and genres stand before a window's first code; with `everywhere` they are added at each position too, so
    that a voice that begins late still knows whose it is. That is for new models.
    """

    artists: int
    genres: int
    genre_slots: int
    timing_bins: int | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    sample_rate: int = 44100
    everywhere: bool = False

    def __post_init__(self) -> None:
        for name in ("artists", "genres", "genre_slots", "sample_rate"):
            require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.timing_bins is not None:
            shortest, longest = self.min_duration_s, self.max_duration_s
            bounded = shortest is not None and longest is not None and shortest < longest
            require(bounded, self, "min_duration_s", "both durations, the shorter first, since timing_bins is given")


@dataclass(frozen=True, kw_only=True)
class UpsamplerConfig(Config):
    """The convolutional conditioner on the codes of the level above (facts 3.2)."""

    steps: int
    stride: int
    width: int
    depth: int
    hidden_ratio: float = 1.0
    dilation_growth: int = 3
    dilation_cycle: int | None = 8
    residual_scale: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "stride", "width", "depth"):
            require(getattr(self, name) >= 1, self, name, "1 or more")


@dataclass(frozen=True, kw_only=True)
class LyricsConfig(Config):
    """How a prior reads lyrics: a separate `encoder`, or (encoder null) as a prefix in one joint vocabulary."""

    tokens: int
    vocabulary: int
    loss_weight: float
    encoder: TransformerConfig | None = None
    alignment_layer: int | None = None
    alignment_head: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "vocabulary"):
            require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.encoder is not None:
            require(self.encoder.context == self.tokens, self, "tokens", f"the encoder's {self.encoder.context}")


@dataclass(frozen=True, kw_only=True)
class ConditionDropout(Config):
    """How often training hides a condition, so that sampling can ask for music with and without it."""

    artist: float = 0.0
    genre: float = 0.0
    timing: float = 0.0
    lyrics: float = 0.0

    def __post_init__(self) -> None:
        for name in ("artist", "genre", "timing", "lyrics"):
            require(0.0 <= getattr(self, name) <= 1.0, self, name, "a probability")


@dataclass(frozen=True, kw_only=True)
class PriorConfig(Config):
    """The prior of one level: its transformer and everything it is conditioned on (facts 3).

    `condition_dropout` is for training new models; the released ones have none. `matrix_bits` are those of the
    transformer's matrices where they are few (`nn.quantised`), which is for sampling alone; None for whole numbers.
    """

    level: int
    codebook_size: int
    transformer: TransformerConfig
    labels: LabelConfig | None
    upsampler: UpsamplerConfig | None
    lyrics: LyricsConfig | None
    tied_output: bool
    recondition: bool
    condition_dropout: ConditionDropout = field(default_factory=ConditionDropout)
    matrix_bits: Literal[4, 8] | None = None

    def __post_init__(self) -> None:
        cross = "X" in self.transformer.attention
        encoded = self.lyrics is not None and self.lyrics.encoder is not None
        if cross != encoded:
            raise ConfigError(
                f"PriorConfig has attention {self.transformer.attention!r} and a lyrics encoder: {encoded}; "
                "cross-attention layers (X) and a lyrics encoder need each other."
            )
        require(self.codes_context >= 1, self, "lyrics", f"a prefix that leaves room in {self.transformer.context}")

    @property
    def codes_context(self) -> int:
        """Codes in a window: the transformer's context less a lyrics prefix."""
        prefix = self.lyrics.tokens if self.lyrics is not None and self.lyrics.encoder is None else 0
        return self.transformer.context - prefix

    def alignment_head(self) -> tuple[int, int]:
        """The layer and the head whose attention to the lyrics follows what is sung.

        Raises:
            ConfigError: there is none, or it is not of this transformer or does not look at lyrics.
        """
        lyrics = self.lyrics
        if lyrics is None or lyrics.alignment_layer is None or lyrics.alignment_head is None:
            raise ConfigError(
                "This prior has no alignment head (lyrics.alignment_layer, lyrics.alignment_head): use one that has."
            )
        layer, head = lyrics.alignment_layer, lyrics.alignment_head
        require(layer in self.lyric_layers(), lyrics, "alignment_layer", self._lyric_layers_text())
        require(0 <= head < self.transformer.heads, lyrics, "alignment_head", f"0 to {self.transformer.heads - 1}")
        return layer, head

    def aligned_layers(self, also: Sequence[int]) -> tuple[int, ...]:
        """The layer of the alignment head, and others whose head of the same number is taught with it, ascending.

        Raises:
            ConfigError: there is no such head, or one of `also` does not look at lyrics.
        """
        layers = sorted({self.alignment_head()[0], *also})
        for layer in layers:
            if layer not in self.lyric_layers():
                raise ConfigError(f"AlignmentConfig.also has layer {layer}; expected {self._lyric_layers_text()}.")
        return tuple(layers)

    def _lyric_layers_text(self) -> str:
        found = ", ".join(map(str, self.lyric_layers())) or "there is none"
        return f"one that looks at lyrics, counted from 0 ({found} of {self.transformer.attention!r})"

    def lyric_layers(self) -> tuple[int, ...]:
        """The layers that look at lyrics: X at encoded ones, L and D at those before the codes."""
        if self.lyrics is None:
            return ()
        letters = ("X",) if self.lyrics.encoder is not None else ("L", "D")
        return tuple(index for index, layer in enumerate(self.transformer.layers) if layer in letters)

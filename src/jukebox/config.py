"""Configurations: frozen dataclasses that check themselves when built, to and from JSON.

A configuration is saved beside the weights and is all that is needed to build a model. Standard library only.
"""

import dataclasses
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from jukebox.errors import ConfigError

AnyConfig = TypeVar("AnyConfig", bound="Config")


def _require(holds: bool, owner: object, name: str, expectation: str) -> None:
    if not holds:
        value = getattr(owner, name)
        raise ConfigError(f"{type(owner).__name__}.{name} is {value!r}; expected {expectation}.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every configuration: JSON in both directions, with unknown and ill-typed fields refused by name."""

    def to_json(self) -> str:
        """The configuration as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls: type[AnyConfig], text: str) -> AnyConfig:
        """The configuration that `to_json` wrote; raises ConfigError naming what is wrong."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"The configuration is not JSON ({error}); restore the file.") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls: type[AnyConfig], values: Any) -> AnyConfig:
        """The configuration with these field values; nested configurations are dictionaries."""
        if not isinstance(values, dict):
            raise ConfigError(f"{cls.__name__} is {values!r}; expected an object with named fields.")
        kinds = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ConfigError(f"{cls.__name__} has no field {unknown[0]!r}; its fields are {', '.join(sorted(kinds))}.")
        missing = [
            f.name
            for f in dataclasses.fields(cls)
            if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise ConfigError(f"{cls.__name__} lacks the field {missing[0]!r}; give it a value.")
        read = {name: _read(kinds[name], value, f"{cls.__name__}.{name}") for name, value in values.items()}
        return cls(**read)


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` from JSON as an instance of the annotated `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        (kind,) = (k for k in arguments if k is not type(None))
        return _read(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}; expected a list.")
        return tuple(_read(arguments[0], item, where) for item in value)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} is {value!r}; expected one of {', '.join(map(repr, arguments))}.")
        return value
    if isinstance(kind, type) and issubclass(kind, Config):
        return kind.from_dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} is {value!r}; expected {kind.__name__}.")
    return value


@dataclass(frozen=True, kw_only=True)
class CodebookConfig(Config):
    """One level's codebook and how it is learnt (facts 2.4).

    The defaults are the original's rules. `reset_restarted` is the corrected restart: a replaced code begins with
    fresh statistics instead of being redrawn every step until its old count has climbed back over the threshold.
    The threshold counts hits per step of all workers, or is a share of the mean use of a code (small batches).
    """

    size: int = 2048
    decay: float = 0.99
    restart_threshold: float = 1.0
    restart_unit: Literal["hits", "mean_use"] = "hits"
    reset_restarted: bool = False
    learning: Literal["ema", "gradient"] = "ema"
    initialisation: Literal["random", "kmeans"] = "random"
    gradient: Literal["straight_through", "rotation"] = "straight_through"

    def __post_init__(self) -> None:
        _require(self.size >= 2, self, "size", "at least 2 codes")
        _require(0.0 <= self.decay < 1.0, self, "decay", "a number in [0, 1)")
        _require(self.restart_threshold >= 0.0, self, "restart_threshold", "0 or more")


@dataclass(frozen=True, kw_only=True)
class LossConfig(Config):
    """Weights of the VQ-VAE's losses (facts 2.3); the defaults are the released model's.

    `reconstruction` names the waveform term: "l1", "l2", "linf" (mean of the `linf_k` largest squared errors of an
    item) or "mix", the weighted sum of the three. `relative` divides the single-resolution spectral term by the
    norm of its target; the multi-resolution term is always absolute.
    """

    reconstruction: Literal["l1", "l2", "linf", "mix"] = "mix"
    mix_l1: float = 0.0
    mix_l2: float = 1.0
    mix_linf: float = 0.02
    linf_k: int = 2048
    spectral: float = 0.0
    multispectral: float = 1.0
    relative: bool = False
    n_ffts: tuple[int, ...] = (2048, 1024, 512)
    hop_lengths: tuple[int, ...] = (240, 120, 50)
    window_lengths: tuple[int, ...] = (1200, 600, 240)
    commit: float = 0.02
    codebook: float = 0.0

    def __post_init__(self) -> None:
        _require(self.linf_k >= 1, self, "linf_k", "at least one sample")
        for name in ("mix_l1", "mix_l2", "mix_linf", "spectral", "multispectral", "commit", "codebook"):
            _require(getattr(self, name) >= 0.0, self, name, "a weight of 0 or more")
        counts = {len(self.n_ffts), len(self.hop_lengths), len(self.window_lengths)}
        if len(counts) != 1:
            raise ConfigError(
                f"LossConfig has {len(self.n_ffts)} n_ffts, {len(self.hop_lengths)} hop_lengths and "
                f"{len(self.window_lengths)} window_lengths; expected one of each for every resolution."
            )
        fits = all(w <= n for w, n in zip(self.window_lengths, self.n_ffts, strict=True))
        _require(fits, self, "window_lengths", "windows no longer than their n_fft")


@dataclass(frozen=True, kw_only=True)
class VqvaeConfig(Config):
    """The VQ-VAE: one encoder, codebook and decoder per level (facts 2.1, 2.2).

    Level `k` runs stages 0..k; stage `s` makes `steps[s]` repetitions of a convolution with stride `strides[s]`
    and a residual stack. `multipliers[k]` scales width and depth of level `k`. The defaults are the released shape.
    """

    sample_rate: int = 44100
    channels: int = 1
    steps: tuple[int, ...] = (3, 2, 2)
    strides: tuple[int, ...] = (2, 2, 2)
    multipliers: tuple[int, ...] = (2, 1, 1)
    width: int = 32
    depth: int = 4
    hidden_ratio: float = 1.0
    dilation_growth: int = 3
    dilation_cycle: int | None = None
    reverse_decoder_dilation: bool = True
    embedding_width: int = 64
    quantise: bool = True
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        _require(len(self.steps) >= 1, self, "steps", "one count of strided steps per level")
        for name in ("strides", "multipliers"):
            _require(len(getattr(self, name)) == self.levels, self, name, f"one value per level ({self.levels})")
        _require(min(self.steps) >= 1, self, "steps", "at least one strided step per level")
        _require(min(self.strides) >= 2, self, "strides", "strides of 2 or more")
        _require(
            all(s % 2 == 0 for s in self.strides),
            self,
            "strides",
            "even strides (the padding is half of one)",
        )
        _require(min(self.multipliers) >= 1, self, "multipliers", "multipliers of 1 or more")
        for name in ("sample_rate", "channels", "width", "dilation_growth", "embedding_width"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        _require(self.depth >= 0, self, "depth", "0 or more residual blocks")
        _require(self.hidden_ratio * self.width >= 1, self, "hidden_ratio", "a hidden width of at least 1")
        _require(
            self.dilation_cycle is None or self.dilation_cycle >= 1,
            self,
            "dilation_cycle",
            "null or 1 or more",
        )

    @property
    def levels(self) -> int:
        """How many levels there are; level 0 is the finest."""
        return len(self.steps)

    @property
    def hops(self) -> tuple[int, ...]:
        """Samples per code of each level, finest first: (8, 32, 128) as released."""
        strides = [stride**steps for stride, steps in zip(self.strides, self.steps, strict=True)]
        return tuple(math.prod(strides[: level + 1]) for level in range(self.levels))

    def dilations(self, level: int) -> tuple[int, ...]:
        """Dilation of each residual block of one encoder step of this level."""
        return dilations(self.depth * self.multipliers[level], self.dilation_growth, self.dilation_cycle)


def dilations(depth: int, growth: int, cycle: int | None) -> tuple[int, ...]:
    """`growth ** b` for block b of `depth`, beginning again every `cycle` blocks."""
    return tuple(growth ** (block if cycle is None else block % cycle) for block in range(depth))


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
        _require(grammar is not None and once, self, "attention", expected)
        for name in ("context", "width", "heads"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        for name, letters in (("rows", "RCPLETF"), ("tail", "TF"), ("window", "W"), ("stride", "S")):
            value, needed = getattr(self, name), set(self.attention) & set(letters)
            unit = "rows" if name == "rows" else "positions"
            _require(value is not None or not needed, self, name, f"a number of {unit}, for {self.attention!r}")
            _require(value is None or 1 <= value <= self.context, self, name, f"1 to {self.context}")
        if self.rows is not None:
            _require(self.context % self.rows == 0, self, "rows", f"a divisor of {self.context}")
            length = self.context // self.rows
            _require(self.tail is None or self.tail <= length, self, "tail", f"at most a row's length, {length}")
        _require(self.attention_width % self.heads == 0, self, "heads", f"a divisor of {self.attention_width}")
        even = self.head_width % 2 == 0
        _require(even or self.position == "learned", self, "position", f"learned, for heads of {self.head_width}")

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
    """

    artists: int
    genres: int
    genre_slots: int
    timing_bins: int | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    sample_rate: int = 44100

    def __post_init__(self) -> None:
        for name in ("artists", "genres", "genre_slots", "sample_rate"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.timing_bins is not None:
            shortest, longest = self.min_duration_s, self.max_duration_s
            bounded = shortest is not None and longest is not None and shortest < longest
            _require(bounded, self, "min_duration_s", "both durations, the shorter first, since timing_bins is given")


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
            _require(getattr(self, name) >= 1, self, name, "1 or more")


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
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.encoder is not None:
            _require(self.encoder.context == self.tokens, self, "tokens", f"the encoder's {self.encoder.context}")


@dataclass(frozen=True, kw_only=True)
class ConditionDropout(Config):
    """How often training hides a condition, so that sampling can ask for music with and without it."""

    artist: float = 0.0
    genre: float = 0.0
    timing: float = 0.0
    lyrics: float = 0.0

    def __post_init__(self) -> None:
        for name in ("artist", "genre", "timing", "lyrics"):
            _require(0.0 <= getattr(self, name) <= 1.0, self, name, "a probability")


@dataclass(frozen=True, kw_only=True)
class PriorConfig(Config):
    """The prior of one level: its transformer and everything it is conditioned on (facts 3).

    `condition_dropout` is for training new models; the released ones have none.
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

    def __post_init__(self) -> None:
        cross = "X" in self.transformer.attention
        encoded = self.lyrics is not None and self.lyrics.encoder is not None
        if cross != encoded:
            raise ConfigError(
                f"PriorConfig has attention {self.transformer.attention!r} and a lyrics encoder: {encoded}; "
                "cross-attention layers (X) and a lyrics encoder need each other."
            )
        _require(self.codes_context >= 1, self, "lyrics", f"a prefix that leaves room in {self.transformer.context}")

    @property
    def codes_context(self) -> int:
        """Codes in a window: the transformer's context less a lyrics prefix."""
        prefix = self.lyrics.tokens if self.lyrics is not None and self.lyrics.encoder is None else 0
        return self.transformer.context - prefix

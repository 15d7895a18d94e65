"""The models that have a name, as values: what they are, which files they consist of, and how to recognise them.

Sizes and hashes are those of facts 6 and 6.1; where only the size of the tensors is known, it is marked as such.
Nothing here is downloaded or read.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from jukebox.config import (
    CodebookConfig,
    LabelConfig,
    LossConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    UpsamplerConfig,
    VqvaeConfig,
)
from jukebox.errors import ConfigError

LICENCE = (
    "The released weights and label lists are OpenAI's, under its Noncommercial Use License: research and personal "
    "use, no commercial use (https://github.com/openai/jukebox/blob/master/LICENSE). Jukebox's own code is Apache-2.0."
)

WEIGHT_PREFIXES = (
    "https://openaipublic.azureedge.net/jukebox/models",
    "https://openaipublic.blob.core.windows.net/jukebox/models",
)
"""Where the files were published; users have found these addresses dead, so any other prefix can be given."""

LABEL_LIST_PREFIX = "https://raw.githubusercontent.com/openai/jukebox/master/jukebox/data/ids"


@dataclass(frozen=True, kw_only=True)
class ReleasedFile:
    """One published file: its path below the prefix and, where known, its exact size and sha256."""

    path: str
    about_bytes: int
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReleasedModel:
    """A released model: one VQ-VAE and a prior for each level, finest first.

    `vocabularies` names each level's label lists ("v2" or "v3"); `hop_fractions` is how far a sampling window moves
    on, as a share of its length; `temperatures` are the authors' choices (facts 3.5).
    """

    name: str
    description: str
    vqvae: VqvaeConfig
    priors: tuple[PriorConfig, ...]
    files: tuple[ReleasedFile, ...]
    vocabularies: tuple[str, ...]
    hop_fractions: tuple[float, ...] = (0.5, 0.5, 0.125)
    temperatures: tuple[float, ...] = (0.99, 0.99, 0.98)

    @property
    def label_lists(self) -> tuple[ReleasedFile, ...]:
        """The artist and genre lists that its levels need."""
        versions = sorted(set(self.vocabularies))
        return tuple(LABEL_LISTS[f"{version}_{kind}"] for version in versions for kind in ("artist", "genre"))


LABEL_LISTS = {
    "v2_artist": ReleasedFile(
        path="v2_artist_ids.txt",
        about_bytes=71_676,
        size_bytes=71_676,
        sha256="fce2ecc0c7b00838cf8cc90273609c5460fa1ec8d3211ce9f6546ed792feb001",
    ),
    "v2_genre": ReleasedFile(
        path="v2_genre_ids.txt",
        about_bytes=1_216,
        size_bytes=1_216,
        sha256="04d7c5e5f0002c74789ee2a72a1e33f11057eb6c183ed0cf8f4b140164197e48",
    ),
    "v3_artist": ReleasedFile(
        path="v3_artist_ids.txt",
        about_bytes=141_064,
        size_bytes=141_064,
        sha256="85ab98ca035945a917ec3d3e1f06bcd938767196281cfb8caecf058872a9e9ed",
    ),
    "v3_genre": ReleasedFile(
        path="v3_genre_ids.txt",
        about_bytes=9_414,
        size_bytes=9_414,
        sha256="f85f72dca1e6052da129041bb927e29eb143e5f1450951006565f4a8af6f31cb",
    ),
}

_VQVAE_FILE = ReleasedFile(
    path="5b/vqvae.pth.tar",
    about_bytes=7_600_000,
    sha256="69745413a48e887f8a3fe91b972a6f7f434021a1ce911a99187b331eb48c059a",
)
_UPSAMPLER_FILES = (
    ReleasedFile(path="5b/prior_level_0.pth.tar", about_bytes=2_333_000_000),
    ReleasedFile(path="5b/prior_level_1.pth.tar", about_bytes=2_333_000_000),
)

_RELEASED_VQVAE = VqvaeConfig()
_V2_LABELS = LabelConfig(artists=4111, genres=120, genre_slots=5)


def _upsampler(level: int) -> PriorConfig:
    """The 1-billion-parameter upsamplers, equal but for the scaled residual branch at the middle level."""
    return PriorConfig(
        level=level,
        codebook_size=2048,
        transformer=TransformerConfig(
            context=8192, width=1920, attention="RCP" * 24, heads=1, rows=128, init_scale=0.4
        ),
        labels=_V2_LABELS,
        upsampler=UpsamplerConfig(
            steps=2, stride=2, width=1024, depth=16, dilation_growth=3, dilation_cycle=8, residual_scale=level == 1
        ),
        lyrics=None,
        tied_output=True,
        recondition=True,
    )


def _timed(labels: LabelConfig, bins: int, min_duration_s: float) -> LabelConfig:
    return LabelConfig(
        artists=labels.artists,
        genres=labels.genres,
        genre_slots=labels.genre_slots,
        timing_bins=bins,
        min_duration_s=min_duration_s,
        max_duration_s=600.0,
    )


_TOP_5B = PriorConfig(
    level=2,
    codebook_size=2048,
    transformer=TransformerConfig(context=8192, width=4800, attention="RCP" * 24, heads=8, rows=128, init_scale=0.1),
    labels=_timed(_V2_LABELS, 128, 60.0),
    upsampler=None,
    lyrics=None,
    tied_output=False,
    recondition=False,
)

_TOP_5B_LYRICS = PriorConfig(
    level=2,
    codebook_size=2048,
    transformer=TransformerConfig(
        context=8192,
        width=4800,
        attention="RCP" * 3 + "RCPRCPRCPX" * 7,
        heads=8,
        rows=128,
        init_scale=0.1,
    ),
    labels=_timed(_V2_LABELS, 128, 23.8),
    upsampler=None,
    lyrics=LyricsConfig(
        tokens=512,
        vocabulary=80,
        loss_weight=0.4,
        encoder=TransformerConfig(context=512, width=1280, attention="RCP" * 6, heads=4, rows=32, init_scale=0.7),
        alignment_layer=68,
        alignment_head=2,
    ),
    tied_output=False,
    recondition=False,
)

_TOP_1B_LYRICS = PriorConfig(
    level=2,
    codebook_size=2048,
    transformer=TransformerConfig(
        context=6144 + 384,
        width=2048,
        # RCP throughout, but for layers 15, 31 and 63, which look back at the lyrics, and 47, which is dense.
        attention="RCPRCPRCPRCPRCPL" + "CPRCPRCPRCPRCPRL" + "PRCPRCPRCPRCPRCD" + "RCPRCPRCPRCPRCPL" + "CPRCPRCP",
        heads=2,
        rows=64,
        init_scale=0.2,
    ),
    labels=_timed(LabelConfig(artists=7898, genres=604, genre_slots=1), 64, 17.84),
    upsampler=None,
    lyrics=LyricsConfig(tokens=384, vocabulary=79, loss_weight=0.4, alignment_layer=63, alignment_head=0),
    tied_output=True,
    recondition=True,
)

RELEASED = {
    "1b_lyrics": ReleasedModel(
        name="1b_lyrics",
        description="songs with lyrics; 0.9 G parameters at the top, the smallest of the three",
        vqvae=_RELEASED_VQVAE,
        priors=(_upsampler(0), _upsampler(1), _TOP_1B_LYRICS),
        files=(
            _VQVAE_FILE,
            *_UPSAMPLER_FILES,
            ReleasedFile(path="1b_lyrics/prior_level_2.pth.tar", about_bytes=1_960_000_000),
        ),
        vocabularies=("v2", "v2", "v3"),
    ),
    "5b_lyrics": ReleasedModel(
        name="5b_lyrics",
        description="songs with lyrics; 5.6 G parameters at the top",
        vqvae=_RELEASED_VQVAE,
        priors=(_upsampler(0), _upsampler(1), _TOP_5B_LYRICS),
        files=(
            _VQVAE_FILE,
            *_UPSAMPLER_FILES,
            ReleasedFile(path="5b_lyrics/prior_level_2.pth.tar", about_bytes=11_450_000_000),
        ),
        vocabularies=("v2", "v2", "v2"),
    ),
    "5b": ReleasedModel(
        name="5b",
        description="music without lyrics; 5.1 G parameters at the top, also used for features",
        vqvae=_RELEASED_VQVAE,
        priors=(_upsampler(0), _upsampler(1), _TOP_5B),
        files=(
            _VQVAE_FILE,
            *_UPSAMPLER_FILES,
            ReleasedFile(
                path="5b/prior_level_2.pth.tar",
                about_bytes=10_288_727_721,
                size_bytes=10_288_727_721,
                sha256="89a1dd14f5b2f9b16b3e73b53fa2138cc89fd96bb13249b4267fea471de92672",
            ),
        ),
        vocabularies=("v2", "v2", "v2"),
    ),
}

_VQVAES = {
    **{name: released.vqvae for name, released in RELEASED.items()},
    "small_vqvae": VqvaeConfig(
        sample_rate=22050,
        steps=(5, 3),
        strides=(2, 2),
        multipliers=(1, 1),
        width=32,
        depth=4,
        codebook=CodebookConfig(size=1024),
        loss=LossConfig(reconstruction="l2", mix_l2=0.0, mix_linf=0.0),
    ),
    # For tests: the released hops, everything else as small as it can be.
    "tiny": VqvaeConfig(width=4, depth=1, multipliers=(1, 1, 1), embedding_width=4, codebook=CodebookConfig(size=64)),
}

TINY_SEED = 20
"""`tiny` has random weights, always the same."""


def _tiny_prior(level: int, attention: str, context: int) -> PriorConfig:
    """A level of `tiny-random`: a few layers, its context a few hundred codes."""
    timing = {"timing_bins": 16, "min_duration_s": 1.0, "max_duration_s": 600.0} if level == 2 else {}
    # Prefixed lyrics: the rows are those of codes and lyrics together.
    lyrics = LyricsConfig(tokens=32, vocabulary=79, loss_weight=0.4, alignment_layer=3, alignment_head=0)
    return PriorConfig(
        level=level,
        codebook_size=64,
        transformer=TransformerConfig(
            context=context, width=32, attention=attention, heads=2, rows=16, attention_ratio=0.5, init_scale=3.0
        ),
        labels=LabelConfig(artists=4, genres=4, genre_slots=1, **timing),
        upsampler=UpsamplerConfig(steps=2, stride=2, width=16, depth=2) if level < 2 else None,
        lyrics=lyrics if level == 2 else None,
        tied_output=True,
        recondition=True,
    )


MINI = "mini"
MINI_FOLDER = Path(__file__).parent / MINI
"""The small model that is part of the package: a folder of ours with its parts. It is the model where none is named."""

TINY_RANDOM = "tiny-random"
TINY_PRIORS = (_tiny_prior(0, "RC", 512), _tiny_prior(1, "RP", 512), _tiny_prior(2, "RCPL", 256 + 32))
"""The priors of `tiny-random`, finest first: weights drawn anew for each use, always the same; for tests."""

TINY_NAMES = (("nobody", "noise"), ("somebody", "waltz"), ("everybody", "march"))
"""Artists and genres that `tiny-random` knows."""


NAMES = (MINI, *RELEASED, TINY_RANDOM)
"""Every name that stands for a whole model."""


def unknown_model(name: str) -> str:
    """A sentence for a name that stands for no model, or for one without files, with the names there are."""
    if name == TINY_RANDOM:
        return f"{name!r} has random weights and no files; the models that have are {', '.join((MINI, *RELEASED))}."
    return _unknown("model", name, list(NAMES))


def model(name: str) -> ReleasedModel:
    """The released model of this name; raises ConfigError listing the names when there is none."""
    if name not in RELEASED:
        raise ConfigError(_unknown("released model", name, list(RELEASED)))
    return RELEASED[name]


def vqvae_config(name: str) -> VqvaeConfig:
    """The VQ-VAE of this name; raises ConfigError listing the names when there is none."""
    if name not in _VQVAES:
        raise ConfigError(_unknown("VQ-VAE", name, list(_VQVAES)))
    return _VQVAES[name]


def part_config(part: str) -> VqvaeConfig | PriorConfig:
    """The configuration of one published file, named by its path without `.pth.tar`: "5b/prior_level_1"."""
    parts = {
        file.path.removesuffix(".pth.tar"): config
        for released in RELEASED.values()
        for file, config in zip(released.files, (released.vqvae, *released.priors), strict=True)
    }
    if part not in parts:
        raise ConfigError(_unknown("published file", part, sorted(parts)))
    return parts[part]


def _unknown(what: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"There is no {what} named {name!r}: {hint}The names are {', '.join(known)}."

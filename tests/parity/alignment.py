"""Alignment cases: the attention of the alignment head, and its merge over the windows of a song.

Labels of windows, and which characters they show, are equal; attention has the README's tolerance for values of
order 1.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from jukebox.alignment.attention import align
from jukebox.alignment.window import window_attention
from jukebox.labels.labels import SongTokens
from jukebox.labels.text import V2_ALPHABET, V3_ALPHABET
from jukebox.labels.timing import SongSpan
from jukebox.sampling.windows import window_starts
from tests.parity.prior import prior_of
from tests.parity.report import Check, close, equal, equal_integers

ATTENTION = 5e-5


def run(case: Path) -> Iterator[Check]:
    """Every recorded number of one case."""
    recorded, io = json.loads((case / "config.json").read_text()), load_file(case / "io.safetensors")
    hps = recorded["prior_hps"]
    prior = prior_of(hps, load_file(case / "weights.safetensors"), case).eval()
    config, context = prior.config, prior.config.codes_context
    assert config.labels is not None
    assert config.lyrics is not None
    yield equal(
        "alignment head",
        (config.lyrics.alignment_layer, config.lyrics.alignment_head),
        (recorded["alignment_layer"], recorded["alignment_head"]),
    )
    hop = int(recorded["hop_fraction_top"] * context)
    starts = window_starts(recorded["total_length"], context, hop)
    yield equal("starts", list(starts), recorded["starts"])
    alphabet = V3_ALPHABET if hps["labels_v3"] else V2_ALPHABET
    for item, meta in enumerate(recorded["metas"]):
        y = io["y"][item].tolist()
        token_samples = y[2] // context
        tokens = SongTokens(
            artist_id=y[3],
            genre_ids=tuple(y[4 : 4 + config.labels.genre_slots]),
            lyric_tokens=alphabet.encode(meta["lyrics"]),
            lyric_window=config.lyrics.tokens,
        )
        spans = {
            start: SongSpan(
                total_length_samples=y[0], offset_samples=y[1] + start * token_samples, window_length_samples=y[2]
            )
            for start in starts
        }
        for start, span in spans.items():
            indices = list(tokens.lyric_indices(span, "float32"))
            yield equal(f"indices.{start}.{item}", indices, recorded["indices"][str(start)][item])
            labels = torch.tensor(tokens.window(span, "float32").packed())
            yield equal_integers(f"y.start_{start}.{item}", labels, io[f"y.start_{start}"][item])
        first = torch.from_numpy(window_attention(prior, io["z"][item][:context], tokens.window(spans[0], "float32")))
        expected = io["attn_weights.start_0"][item, recorded["alignment_head"]]
        yield close(f"attn_weights.start_0.{item}", first, expected, absolute=ATTENTION)
        found = torch.from_numpy(align(prior, io["z"][item], tokens, spans.__getitem__, starts))
        yield close(f"alignment.{item}", found, io[f"alignment.{item}"], absolute=ATTENTION)

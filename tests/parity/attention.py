"""Attention cases: one layer of each of the original's kinds, whole, step by step and in chunks.

Outputs are of order 1 to 10 and recorded in float32; the reference's own cached path differs from its whole-window
path by up to 2.4e-6. A different order of summation, as in fused attention, is within the README's 2e-5.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from jukebox.config import TransformerConfig
from jukebox.prior import patterns
from jukebox.prior.attention import CrossAttention, Place, SelfAttention
from jukebox.prior.cache import TransformerState, empty_cache, layout
from jukebox.prior.span import Span
from jukebox.prior.step import Step
from tests.parity.report import Check, close, equal

LETTERS = "DRCPETXL"
"""The pattern of each of the original's kinds, by its number."""
OUTPUT = WEIGHTS = 2e-5

AnyAttention = TypeVar("AnyAttention", SelfAttention, CrossAttention)


@torch.no_grad()
def run(case: Path) -> Iterator[Check]:
    """Every recorded number of one case."""
    recorded = json.loads((case / "config.json").read_text())
    io, weights = load_file(case / "io.safetensors"), load_file(case / "weights.safetensors")
    config = TransformerConfig(
        context=recorded["n_ctx"],
        width=recorded["n_in"],
        attention=LETTERS[recorded["attn_func"]],
        heads=recorded["n_head"],
        rows=recorded["blocks"],
        attention_ratio=recorded["n_state"] / recorded["n_in"],
        tail=recorded["spread"],
    )
    if config.attention == "X":
        yield from _cross(_loaded(CrossAttention(config), weights), io)
        return
    found = patterns.of_layer(config.attention, config, recorded["prime_len"] or 0)
    module = _loaded(SelfAttention(config, found), weights)
    if "prime_key_length" in recorded:
        yield equal("prime_key_length", layout(found[0], config.context).capacity, recorded["prime_key_length"])
    yield from _self(module, config, io)


def _loaded(module: AnyAttention, weights: dict[str, Tensor]) -> AnyAttention:
    names = {"c_proj": "output", "c_enc_kv": "key_value", "c_attn": "qkv" if hasattr(module, "qkv") else "query"}
    ours = {}
    for name, tensor in weights.items():
        layer, kind = name.split(".")
        ours[names[layer] + (".weight" if kind == "w" else ".bias")] = tensor.mT if kind == "w" else tensor
    module.load_state_dict(ours)
    return module


def _cross(module: CrossAttention, io: dict[str, Tensor]) -> Iterator[Check]:
    pairs = module.pairs(io["encoder_kv"])
    found, weights = module(io["x"], pairs, heads=slice(None))
    yield close("attn_weights", weights, io["attn_weights"], absolute=WEIGHTS)
    steps = torch.cat([module(x, pairs)[0] for x in io["x"].split(1, 1)], 1)
    for name in ("out", "out_train"):
        yield close(name, found, io[name], absolute=OUTPUT)
        yield close(f"{name} in steps", steps, io[name], absolute=OUTPUT)


def _self(module: SelfAttention, config: TransformerConfig, io: dict[str, Tensor]) -> Iterator[Check]:
    shows = "attn_weights" in io
    whole, weights = module(
        io["x"], Span(0, config.context, config.context, io["x"].device), (), heads=slice(None) if shows else None
    )
    if shows:
        yield close("attn_weights", weights, io["attn_weights"], absolute=WEIGHTS)
    ways = {"whole": whole, "in steps": _chunked(module, config, io["x"], 1)}
    ways |= {f"in chunks of {n}": _chunked(module, config, io["x"], n) for n in (7, config.context // 2)}
    for name in ("out", "out_train"):
        for way, found in ways.items():
            yield close(f"{name} {way}", found, io[name], absolute=OUTPUT)


def _chunked(module: SelfAttention, config: TransformerConfig, x: Tensor, chunk: int) -> Tensor:
    item = x.new_empty(len(x), 2, config.heads, config.head_width)
    caches = tuple(empty_cache(pattern, config.context, item) for pattern in module.patterns)
    state = TransformerState(positions=torch.zeros(len(x), dtype=torch.int64), furthest=0, caches=(caches,))
    found = []
    for piece in x.split(chunk, 1):
        count = piece.shape[1]
        place: Place = Step(state, config.context)
        if count > 1:
            place = Span(state.furthest, count, config.context, x.device)
        found.append(module(piece, place, caches)[0])
        place.commit()
        state = state.advanced(count)
    return torch.cat(found, 1)

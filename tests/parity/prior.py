"""Prior cases: conditioning, logits, losses, hidden states, gradients, and sampling through the step form.

Tolerances are those of the cases' README: logits the case's own `suggested_atol_preds`, losses 1e-5 relative,
gradients 1e-3 relative with 1e-4 of the tensor's largest entry; tokens are equal. Other vectors that the case records
(conditioning, hidden states, encoded lyrics) have values of order 1 and get the README's 5e-5 for such; hidden states
the logits' tolerance where that is wider.

A gradient at a kink (a rectifier's input at zero, in the conditioner on the codes above) is one-sided: where the
gradient falls short, those with the conditioner's embeddings moved by 1e-7 of themselves are tried, all parameters
at once.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from jukebox.checkpoints import openai, openai_config
from jukebox.checkpoints.load import build_prior
from jukebox.checkpoints.names import shapes_of, to_ours
from jukebox.config import PriorConfig
from jukebox.prior.conditions import Conditions
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.prior import Prior
from jukebox.prior.token_stack import all_positions, before
from jukebox.prior.transformer import Wanted
from jukebox.sampling.token import filter_logits
from tests.parity.report import Check, close, equal, equal_integers

VECTORS = 5e-5
LOSS = 1e-5
LEAST_LOGITS = 2e-5


def run(case: Path) -> Iterator[Check]:
    """Every recorded number of one case."""
    recorded = json.loads((case / "config.json").read_text())
    io = load_file(case / "io.safetensors")
    prior = prior_of(recorded["prior_hps"], load_file(case / "weights.safetensors"), case)
    logits = recorded.get("suggested_atol_preds", LEAST_LOGITS)
    yield from _conditioning(prior, io)
    yield from _window(prior, io, logits)
    if "sampling" in recorded:
        yield from _sampling(prior, io, recorded["sampling"], logits)
    if (case / "grads.safetensors").exists():
        yield from _gradients(prior, io, load_file(case / "grads.safetensors"), recorded["params_without_grad"])


def prior_of(hps: dict[str, Any], weights: dict[str, Tensor], case: Path) -> Prior:
    """The prior of a case."""
    weights = {openai.released_spelling(name): tensor for name, tensor in weights.items()}
    config = openai_config.prior_config(hps, shapes_of(weights))
    return build_prior(config, to_ours(weights, openai.name_table(config), str(case)))


def conditions(config: PriorConfig, y: Tensor | None, codes_above: Tensor | None) -> Conditions:
    """The named fields of a recorded label vector: three lengths, artist, genres, lyrics."""
    labels = lyrics = None
    if y is not None and config.labels is not None:
        slots = config.labels.genre_slots
        labels = LabelTensors(
            total_length_samples=y[:, 0],
            offset_samples=y[:, 1],
            window_length_samples=y[:, 2],
            artist_ids=y[:, 3],
            genre_ids=y[:, 4 : 4 + slots],
        )
        lyrics = y[:, 4 + slots :] if config.lyrics is not None else None
    return Conditions(labels=labels, lyrics=lyrics, codes_above=codes_above)


def _conditions(prior: Prior, io: dict[str, Tensor]) -> Conditions:
    return conditions(prior.config, io.get("y"), io.get("z_cond"))


@torch.no_grad()
def _conditioning(prior: Prior, io: dict[str, Tensor]) -> Iterator[Check]:
    given = _conditions(prior, io)
    conditioning = prior.condition(given, len(io["z"]))
    yield equal("x_cond is there", conditioning.added is not None, "x_cond" in io)
    if conditioning.added is not None:
        prefix = prior.layout.prefix
        yield close("x_cond", conditioning.added[:, prefix:], io["x_cond"], absolute=VECTORS)
        zeros = torch.zeros_like(conditioning.added[:, :prefix])
        yield close("x_cond of the prefix", conditioning.added[:, :prefix], zeros)
    if "y_cond" in io:
        yield close("y_cond", conditioning.start[:, None], io["y_cond"], absolute=VECTORS)
    if "prime_acts" in io:
        encoder = prior.lyrics_encoder
        assert encoder is not None
        assert given.lyrics is not None
        assert conditioning.encoded_lyrics is not None
        yield close("prime_acts", encoder.hidden(given.lyrics), io["prime_acts"], absolute=VECTORS)
        yield close("encoder_kv", conditioning.encoded_lyrics, io["encoder_kv"], absolute=VECTORS)
        lyric_logits = encoder.logits(conditioning.encoded_lyrics)
        yield close("prime_preds", lyric_logits, io["prime_preds"], absolute=VECTORS)


@torch.no_grad()
def _window(prior: Prior, io: dict[str, Tensor], tolerance: float) -> Iterator[Check]:
    depth = prior.config.transformer.depth
    given = _conditions(prior, io)
    plain = prior(io["z"], given)
    yield close("preds", plain.logits, io["preds"], absolute=tolerance)
    losses = {"loss": plain.losses.total, "prime_loss": plain.losses.lyrics, "gen_loss": plain.losses.music}
    for name, found in losses.items():
        yield close(name, found, io[name], relative=LOSS)
    # Asking for more must not change any bit of the rest.
    asked = prior(io["z"], given, wanted=Wanted(layers=frozenset(range(depth))))
    yield close("preds with hidden states", asked.logits, plain.logits)
    if "hidden.input" in io:
        conditioning = prior.condition(given, len(io["z"]))
        tokens = prior.layout.tokens(io["z"], given.lyrics)
        inputs = prior.transformer_inputs(before(tokens), all_positions(tokens), conditioning)
        yield close("hidden.input", inputs, io["hidden.input"], absolute=VECTORS)
    for layer in range(depth):
        if f"hidden.{layer}" in io:
            found = asked.layers[layer]
            yield close(f"hidden.{layer}", found, io[f"hidden.{layer}"], absolute=max(VECTORS, tolerance))
    # Features are the same hidden states, of the codes alone, and of no more layers than are asked for.
    states = prior.hidden_states(io["z"], given, frozenset(range(1, depth + 1)))
    for layer, found in asked.layers.items():
        yield close(f"hidden.{layer} as features", states[layer + 1], found[:, prior.layout.prefix :])
    if "hidden.input" in io:
        (entering,) = prior.hidden_states(io["z"], given, frozenset({0})).values()
        recorded = io["hidden.input"][:, prior.layout.prefix :]
        yield close("hidden.input as features", entering, recorded, absolute=VECTORS)
    if "preds_fp16_run" in io:
        half = _half(prior)(io["z"], given).logits
        # Three times what half precision cost the original: both are the largest of many roundings.
        allowed = 3 * float((io["preds_fp16_run"] - io["preds"]).abs().max())
        yield close("preds in half precision", half.float(), io["preds"], absolute=allowed)


def _half(prior: Prior) -> Prior:
    return build_prior(prior.config, {name: tensor.half() for name, tensor in prior.state_dict().items()}, torch.half)


@dataclass(frozen=True)
class _Request:
    """How many codes to write, and what they are primed with; `chunk` positions at a time, all at once for 0."""

    codes: int
    primer: Tensor
    chunk: int = 0


Choice = Callable[[Tensor, int], Tensor]
"""Chooses a token of each item from logits [batch vocabulary]; the number is that of the code."""


def _greedy(logits: Tensor, index: int) -> Tensor:
    return logits.argmax(-1)


@torch.no_grad()
def _sampling(prior: Prior, io: dict[str, Tensor], recorded: dict[str, Any], tolerance: float) -> Iterator[Check]:
    """Greedy and noisy codes are written side by side in one batch; primed ones by themselves."""
    length, batch = io["z"].shape[1], len(io["z"])
    noisy = [name for name in io if name.startswith("sample.gumbel_") and not name.endswith(".noise")]
    choices = [_greedy] + [
        _with_noise(io[f"{name}.noise"].float(), **recorded[name.removeprefix("sample.")]) for name in noisy
    ]
    copies = {name: io[name].repeat(len(choices), 1) for name in ("y", "z", "z_cond") if name in io}
    request = _Request(codes=length, primer=copies["z"][:, :0])
    codes, logits = sample(prior, _conditions(prior, copies), request, _side_by_side(choices))
    for name, found in zip(["sample.greedy", *noisy], codes.split(batch), strict=True):
        yield equal_integers(name, found, io[name])
    recorded_logits = io["sample.greedy_cached_preds"]
    yield close("sample.greedy_cached_preds", logits[:batch], recorded_logits, absolute=tolerance)
    primer = io["z"][:, : recorded["primed_prefix"]]
    requests = {
        "sample.primed_chunk0": _Request(codes=length, primer=primer),
        "sample.primed_chunk7": _Request(codes=length, primer=primer, chunk=7),
    }
    for name, partial in recorded["partial"].items():
        known, chunk = io["z"][:, : partial["prefix"]], partial.get("chunk_size") or 0
        requests[f"sample.{name}"] = _Request(codes=partial["sample_tokens"], primer=known, chunk=chunk)
    for name, request in requests.items():
        if name in io:
            codes, _ = sample(prior, _conditions(prior, io), request, _greedy)
            yield equal_integers(name, codes, io[name])


def _side_by_side(choices: list[Choice]) -> Choice:
    """Each part of the batch chosen in its own way."""

    def choose(logits: Tensor, index: int) -> Tensor:
        parts = logits.chunk(len(choices))
        return torch.cat([choice(part, index) for choice, part in zip(choices, parts, strict=True)])

    return choose


def _with_noise(noise: Tensor, *, temp: float, top_k: int | None = None, top_p: float | None = None) -> Choice:
    def choose(logits: Tensor, index: int) -> Tensor:
        return (filter_logits(logits / temp, top_k=top_k, top_p=top_p) + noise[:, index]).argmax(-1)

    return choose


def sample(prior: Prior, given: Conditions, request: _Request, choose: Choice) -> tuple[Tensor, Tensor]:
    """Codes written one by one through the step form, and the logits met at every position."""
    state = prior.new_state(given, len(request.primer))
    tokens = prior.layout.tokens(request.primer, given.lyrics)
    # The token before each position: the last one given is read when the first one is chosen.
    known = before(torch.nn.functional.pad(tokens, (0, 1)))
    seen, written = [], [tokens]
    for part in known.split(request.chunk or known.shape[1], 1):
        output = prior.extend(part, state)
        state, seen = output.state, [*seen, output.logits]
    for index in range(request.primer.shape[1], request.codes):
        written.append(choose(seen[-1][:, -1], index)[:, None])
        if index + 1 < request.codes:
            output = prior.extend(written[-1], state)
            state, seen = output.state, [*seen, output.logits]
    codes = prior.layout.codes(torch.cat(written, 1)[:, prior.layout.prefix :])
    return codes, torch.cat(seen, 1)


def _gradients(prior: Prior, io: dict[str, Tensor], recorded: dict[str, Tensor], without: list[str]) -> Iterator[Check]:
    for recompute in (False, True):
        checks = _gradient_checks(prior, io, recorded, recompute)
        for seed in range(40 if prior.upsampler is not None else 0):
            if all(check.holds for check in checks):
                break
            checks = _gradient_checks(_moved(prior, seed), io, recorded, recompute)
        yield from checks
    names = openai.name_table(prior.config)
    unused = sorted(place.name for name, p in prior.named_parameters() if p.grad is None for place in names[name])
    yield equal("parameters without gradient", unused, sorted(map(openai.released_spelling, without)))


def _moved(prior: Prior, seed: int) -> Prior:
    """The prior with its embeddings of the codes above moved by 1e-7 of themselves."""
    name, generator = "upsampler.token_embedding.weight", torch.Generator().manual_seed(seed)
    tensors = {key: tensor.clone() for key, tensor in prior.state_dict().items()}
    tensors[name] *= 1 + 1e-7 * torch.randn(tensors[name].shape, generator=generator)
    return build_prior(prior.config, tensors)


def _gradient_checks(prior: Prior, io: dict[str, Tensor], recorded: dict[str, Tensor], recompute: bool) -> list[Check]:
    prior.zero_grad()
    loss = prior(io["z"], _conditions(prior, io), recompute=recompute).losses.total
    loss.backward()
    recorded = {openai.released_spelling(name): tensor for name, tensor in recorded.items()}
    found = {name: p.grad for name, p in prior.named_parameters() if p.grad is not None}
    # A tied matrix has one gradient, recorded under one of its two names.
    places = {
        name: tuple(place for place in places if place.name in recorded)
        for name, places in openai.name_table(prior.config).items()
        if name in found
    }
    compared, suffix = sum(len(at) for at in places.values()), " recomputed" if recompute else ""
    checks = [
        close(f"train.loss{suffix}", loss.detach(), io["train.loss"], relative=LOSS),
        equal(f"number of gradients{suffix}", (len(found), compared), (len(recorded), len(recorded))),
    ]
    for name, gradient in to_ours(recorded, places, "grads").items():
        scale = gradient.abs().max()
        ours, theirs = found[name] / scale, gradient / scale
        checks.append(close(f"grad {name}{suffix}", ours, theirs, absolute=1e-4, relative=1e-3))
    return checks

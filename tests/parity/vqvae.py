"""VQ-VAE cases: latents, codes, audio, every loss, codebook learning and gradients.

Tolerances are those of the cases' README: latents and audio 5e-5, losses 1e-5 relative (spectral terms 1e-4),
gradients 1e-3 relative with 1e-4 of the tensor's largest entry.

Two things are not decided by float32 and are treated alike in every case. A latent whose two nearest codes are closer
than 1e-6 of the mean squared distance, measured in float64, may take either: codes that share such a latent are
compared by what they have together, and the losses of such a step to 1e-3. A gradient at a kink (a rectifier's input
at zero) is one-sided: where the gradient falls short, those at inputs moved by 1e-7 of themselves are tried, all
parameters at once.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from jukebox.audio.spectral import spectral_convergence
from jukebox.checkpoints import openai
from jukebox.checkpoints.load import build_vqvae
from jukebox.checkpoints.names import to_ours
from jukebox.checkpoints.openai_config import vqvae_config
from jukebox.config import VqvaeConfig
from jukebox.nn.conv_stream import Chain
from jukebox.vqvae import codebook_ema, losses
from jukebox.vqvae.codebook import nearest_codes
from jukebox.vqvae.streaming import decoder_chain, encoder_chain
from jukebox.vqvae.vqvae import VQVAE
from tests.parity.report import Check, close, equal_integers

AUDIO = LATENTS = 5e-5
LOSS, SPECTRAL = 1e-5, 1e-4
STATE = 5e-5
UNDECIDED_LOSS = 1e-3
STATISTICS = {
    "entropy": "entropy",
    "used_curr": "used",
    "usage": "alive",
    "dk": "movement",
    "pn": "spread",
    "fit": "distance",
}


def run(case: Path) -> Iterator[Check]:
    """Every recorded number of one case."""
    config = json.loads((case / "config.json").read_text())
    io = load_file(case / "io.safetensors")
    hps = config["vqvae_hps"]
    module = _module(vqvae_config(hps), load_file(case / "weights.safetensors"), case)
    bandwidth = losses.Bandwidth(
        l1=hps["bandwidth"]["l1"], l2=hps["bandwidth"]["l2"], spectral=hps["bandwidth"]["spec"]
    )
    yield from _autoencoder(module, io)
    yield from _evaluation(module, io, bandwidth, config["eval_lmix_overrides"])
    if any(name.startswith("train.") for name in io):
        yield from _training(module, io, bandwidth)
    if (case / "grads.safetensors").exists():
        yield from _gradients(module, io, bandwidth, load_file(case / "grads.safetensors"))


def _module(config: VqvaeConfig, weights: dict[str, Tensor], case: Path) -> VQVAE:
    tensors = openai.add_running_sums(to_ours(weights, openai.name_table(config), str(case)))
    return build_vqvae(config, tensors)


def _audio(recorded: Tensor) -> Tensor:
    """[batch, samples, channels] as recorded -> [batch, channels, samples]."""
    return recorded.transpose(1, 2).contiguous()


def _stream(chain: Chain, rows: Tensor, chunk: int) -> Tensor:
    pieces = [chain.push(piece).clone() for piece in rows.split(chunk)]
    return torch.cat([*pieces, chain.finish()])


@torch.no_grad()
def _autoencoder(module: VQVAE, io: dict[str, Tensor]) -> Iterator[Check]:
    audio = _audio(io["x"])
    codes = module.encode(audio)
    for level in range(module.config.levels):
        latents = module.latents(audio, level)
        recorded = io[f"latent_{level}"].transpose(1, 2)
        yield close(f"latent_{level}", latents, recorded, absolute=LATENTS)
        yield equal_integers(f"z_{level}", codes[level], io[f"z_{level}"])
        rows = audio.transpose(1, 2).contiguous()
        for stage in range(level):
            rows = module.encoders[level].stages[stage](rows)
            name = f"encoder_{level}.level_out_{stage}"
            yield close(name, rows, io[name].transpose(1, 2), absolute=LATENTS)
        for name in ("", "rand_"):
            decoded = module.decode(io[f"{name}z_{level}"], level)
            yield close(f"{name}decode_{level}", decoded, _audio(io[f"{name}decode_{level}"]), absolute=AUDIO)
        chain, hop = encoder_chain(module.encoders[level]), module.config.hops[level]
        streamed = _stream(chain, audio[0].t(), 7 * hop)
        yield close(f"latent_{level} streamed", streamed, recorded[0], absolute=LATENTS)
        yield equal_integers(f"z_{level} streamed", nearest_codes(streamed, module.vectors(level)), io[f"z_{level}"][0])
        chain = decoder_chain(module.decoders[level])
        vectors = module.vectors(level)[io[f"z_{level}"][0]]
        decoded = io[f"decode_{level}"][0]
        yield close(f"decode_{level} streamed", _stream(chain, vectors, 5), decoded, absolute=AUDIO)


@torch.no_grad()
def _evaluation(
    module: VQVAE, io: dict[str, Tensor], bandwidth: losses.Bandwidth, mix: dict[str, float]
) -> Iterator[Check]:
    audio, base = _audio(io["x"]), module.config.loss
    mixed = dataclasses.replace(
        base, reconstruction="mix", mix_l1=mix["lmix_l1"], mix_l2=mix["lmix_l2"], mix_linf=mix["lmix_linf"]
    )
    variants = {name: dataclasses.replace(base, reconstruction=name) for name in ("l1", "l2", "linf")}
    variants |= {"lmix": mixed, "relspec": dataclasses.replace(base, reconstruction="l2", relative=True)}
    for name, loss_config in variants.items():
        prefix = f"eval.{name}."
        if f"{prefix}loss" not in io:
            continue
        variant = build_vqvae(dataclasses.replace(module.config, loss=loss_config), module.state_dict())
        output = variant(audio, bandwidth)
        found = _metrics(variant, audio, output, bandwidth)
        yield from _compare(prefix, found, io)
    yield close(
        "eval.x_out",
        module(audio, bandwidth).levels[0].reconstruction,
        _audio(io["eval.x_out"]),
        absolute=AUDIO,
    )


def _metrics(module: VQVAE, audio: Tensor, output: Any, bandwidth: losses.Bandwidth) -> dict[str, Tensor]:
    """Every loss under the name it is recorded by; waveform metrics are of the finest level."""
    config, sounds = module.config.loss, [level.reconstruction for level in output.levels]
    terms = {
        "recons_loss": [level.waveform_loss for level in output.levels],
        "spectral_loss": [losses.spectral_loss(audio, sound, config, bandwidth) for sound in sounds],
        "multispectral_loss": [losses.multispectral_loss(audio, sound, config, bandwidth) for sound in sounds],
    }
    found = {
        "loss": output.loss,
        "commit_loss": torch.stack([level.commit_loss for level in output.levels]).sum(),
    }
    for name, values in terms.items():
        found[name] = torch.stack(values).sum()
        found |= {f"{name}_l{level + 1}": value for level, value in enumerate(values)}
    finest = sounds[0]
    found["l1_loss"] = losses.l1_loss(audio, finest, bandwidth)
    found["l2_loss"] = losses.l2_loss(audio, finest, bandwidth)
    found["linf_loss"] = losses.linf_loss(audio, finest, bandwidth, config.linf_k)
    found["spectral_convergence"] = spectral_convergence(audio.mean(1), finest.mean(1)).mean()
    return found


def _compare(prefix: str, found: dict[str, Tensor], io: dict[str, Tensor], undecided: bool = False) -> Iterator[Check]:
    """Every loss recorded under the prefix; loosely where some codes are undecided."""
    for name, expected in io.items():
        short = name.removeprefix(prefix)
        if name.startswith(prefix) and short in found:
            relative = SPECTRAL if "spectral" in short or short == "loss" else LOSS
            yield close(name, found[short].detach(), expected, relative=UNDECIDED_LOSS if undecided else relative)


def _training(module: VQVAE, io: dict[str, Tensor], bandwidth: losses.Bandwidth) -> Iterator[Check]:
    levels = range(module.config.levels)
    states = [
        codebook_ema.CodebookState(
            vectors=module.vectors(level).clone(),
            ema_sum=io[f"train.restored.k_sum_before_{level}"],
            ema_count=io[f"train.restored.k_elem_before_{level}"],
        )
        for level in levels
    ]
    for level in levels:
        rows = io["train.restored.step0.x"].shape[1] // module.config.hops[level]
        restored = codebook_ema.restored_state(module.vectors(level), rows)
        prefix = "train.restored.k"
        yield close(f"{prefix}_sum_before_{level}", restored.ema_sum, states[level].ema_sum, absolute=STATE)
        yield close(f"{prefix}_elem_before_{level}", restored.ema_count, states[level].ema_count, absolute=STATE)
    for step in range(2):
        prefix = f"train.restored.step{step}."
        audio = _audio(io[f"{prefix}x"])
        output, trained = _train_step(module, states, audio, bandwidth)
        recorded = _audio(io[f"{prefix}x_out"])
        yield close(f"{prefix}x_out", output.levels[0].reconstruction.detach(), recorded, absolute=AUDIO)
        metrics = _metrics(trained, audio, output, bandwidth)
        yield from _compare(prefix, metrics, io, any(_undecided(states, output)))
        states, checks = _learn(module.config, states, output, io, prefix)
        yield from checks
    prefix = "train.fresh."
    if f"{prefix}init_k_0" in io:
        states = [codebook_ema.initial_state(io[f"{prefix}init_k_{level}"]) for level in levels]
        audio = _audio(io["x"])
        output, trained = _train_step(module, states, audio, bandwidth)
        metrics = _metrics(trained, audio, output, bandwidth)
        yield from _compare(prefix, metrics, io, any(_undecided(states, output)))
        yield from _learn(module.config, states, output, io, prefix)[1]


def _undecided(states: list[codebook_ema.CodebookState], output: Any) -> list[set[frozenset[int]]]:
    """For each level, the sets of codes between which rounding decides for some row."""
    found = []
    for state, level in zip(states, output.levels, strict=True):
        rows, vectors = level.latents.detach().flatten(0, 1).double(), state.vectors.double()
        distances = (rows[:, None] - vectors).square().sum(2)
        close_ones = distances - distances.amin(1, keepdim=True) < 1e-6 * distances.mean()
        candidates = [frozenset(row.nonzero().flatten().tolist()) for row in close_ones]
        found.append(_joined({codes for codes in candidates if len(codes) > 1}))
    return found


def _joined(sets: set[frozenset[int]]) -> set[frozenset[int]]:
    """The same codes, with sets that share one made one."""
    joined: set[frozenset[int]] = set()
    for codes in sets:
        touching = {other for other in joined if other & codes}
        joined = (joined - touching) | {codes.union(*touching)}
    return joined


def _train_step(
    module: VQVAE, states: list[codebook_ema.CodebookState], audio: Tensor, bandwidth: losses.Bandwidth
) -> tuple[Any, VQVAE]:
    tensors = dict(module.state_dict())
    for level, state in enumerate(states):
        tensors[f"codebooks.{level}.vectors"] = state.vectors
    trained = build_vqvae(module.config, tensors)
    return trained(audio, bandwidth), trained


def _learn(
    config: VqvaeConfig,
    states: list[codebook_ema.CodebookState],
    output: Any,
    io: dict[str, Tensor],
    prefix: str,
) -> tuple[list[codebook_ema.CodebookState], list[Check]]:
    """One update of every codebook, and its comparison with the recorded state and statistics."""
    after, checks, statistics = [], [], []
    undecided = _undecided(states, output)
    for level, state in enumerate(states):
        rows = output.levels[level].latents.detach().flatten(0, 1)
        codes = output.levels[level].codes.flatten()
        replacements = io[f"{prefix}k_rand_{level}"]
        new, seen = codebook_ema.update(state, rows, codes, replacements, config.codebook)
        recorded = codebook_ema.CodebookState(
            vectors=io[f"{prefix}k_{level}"],
            ema_sum=io[f"{prefix}k_sum_{level}"],
            ema_count=io[f"{prefix}k_elem_{level}"],
        )
        checks += _state_checks(f"{prefix}level_{level} ", new, recorded, undecided[level])
        # The rule that makes vectors from sums, wherever rounding put the rows.
        alive = (recorded.ema_count >= config.codebook.restart_threshold)[:, None]
        by_rule = torch.where(alive, recorded.ema_sum / recorded.ema_count[:, None], replacements)
        checks.append(close(f"{prefix}k_{level} by rule", by_rule, recorded.vectors, absolute=STATE))
        after.append(recorded if undecided[level] else new)
        statistics.append(seen)
    for name, field in STATISTICS.items():
        if not any(undecided) and f"{prefix}{name}" in io:
            values = torch.tensor([float(getattr(seen, field)) for seen in statistics])
            checks.append(close(f"{prefix}{name}", values.mean(), io[f"{prefix}{name}"], relative=1e-4))
    return after, checks


def _state_checks(
    prefix: str,
    found: codebook_ema.CodebookState,
    recorded: codebook_ema.CodebookState,
    undecided: set[frozenset[int]],
) -> Iterator[Check]:
    """Every decided code by itself; of codes between which rounding decides, what they have together."""
    open_codes = sorted(set().union(*undecided))
    decided = torch.tensor([code not in open_codes for code in range(len(found.vectors))])
    for name in ("vectors", "ema_sum", "ema_count"):
        ours, theirs = getattr(found, name), getattr(recorded, name)
        if decided.any():
            yield close(f"{prefix}{name}", ours[decided], theirs[decided], absolute=STATE)
        if undecided and name != "vectors":
            sums = [[t[sorted(codes)].sum(0) for codes in sorted(undecided, key=min)] for t in (ours, theirs)]
            yield close(f"{prefix}{name} of undecided sets", *map(torch.stack, sums), absolute=STATE)


def _gradients(
    module: VQVAE, io: dict[str, Tensor], bandwidth: losses.Bandwidth, recorded: dict[str, Tensor]
) -> Iterator[Check]:
    audio = _audio(io["train.restored.step0.x"])
    checks = _gradient_checks(module, audio, bandwidth, recorded)
    for seed in range(40):
        if all(check.holds for check in checks):
            break
        noise = torch.randn(audio.shape, generator=torch.Generator().manual_seed(seed))
        checks = _gradient_checks(module, audio * (1 + 1e-7 * noise), bandwidth, recorded)
    yield from checks


def _gradient_checks(
    module: VQVAE, audio: Tensor, bandwidth: losses.Bandwidth, recorded: dict[str, Tensor]
) -> list[Check]:
    module.zero_grad()
    module(audio, bandwidth).loss.backward()
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    expected = to_ours(recorded, {n: t for n, t in openai.name_table(module.config).items() if n in found}, "grads")
    checks = []
    for name, gradient in expected.items():
        scale = float(gradient.abs().max())
        checks.append(close(f"grad {name}", found[name] / scale, gradient / scale, absolute=1e-4, relative=1e-3))
    return checks

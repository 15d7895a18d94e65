"""Parts of `bench/gpu.py`: whole windows read and trained, whole songs, and what fewer bits cost."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from gpu_clock import seconds_of
from gpu_limits import step_limit
from gpu_report import Row, Setting
from gpu_steps import WAYS, config_of, dtype_of, random_prior
from gpu_vqvae import model_of
from torch import Tensor

from jukebox import presets
from jukebox.checkpoints.openai import Imported
from jukebox.config import PriorConfig
from jukebox.engines import EngineSettings
from jukebox.labels.labels import LabelEncoder, Labels
from jukebox.labels.text import V3_ALPHABET
from jukebox.labels.vocabulary import Vocabulary
from jukebox.models import Parts
from jukebox.nn.quantised import RoundedPairs, quantise
from jukebox.pipeline import Jukebox
from jukebox.prior.attention import SelfAttention
from jukebox.prior.conditions import Conditions
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.prior import Prior
from jukebox.prior.token_stack import before
from jukebox.sampling.estimate import estimate_level
from jukebox.sampling.generate import Options
from jukebox.sampling.limits import step_numbers
from jukebox.sampling.model import LevelModel, SongModel
from jukebox.sampling.request import SongRequest


def some_conditions(config: PriorConfig, batch: int, device: torch.device) -> Conditions:
    """Conditions of some windows in the middle of songs of two minutes."""
    labels = lyrics = above = None
    if config.labels is not None:
        rate, whole = config.labels.sample_rate, torch.ones(batch, dtype=torch.int64, device=device)
        labels = LabelTensors(
            total_length_samples=whole * 120 * rate, offset_samples=whole * 30 * rate,
            window_length_samples=whole * 20 * rate, artist_ids=whole,
            genre_ids=whole[:, None].expand(batch, config.labels.genre_slots).contiguous(),
        )  # fmt: skip
    if config.lyrics is not None:
        lyrics = torch.ones(batch, config.lyrics.tokens, dtype=torch.int64, device=device)
    if config.upsampler is not None:
        codes = config.codes_context // config.upsampler.stride**config.upsampler.steps
        above = some_codes(config, batch, codes, device, seed=1)
    return Conditions(labels=labels, lyrics=lyrics, codes_above=above)


def some_codes(config: PriorConfig, batch: int, count: int, device: torch.device, seed: int = 0) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randint(0, config.codebook_size, (batch, count), device=device, generator=generator)


def windows(setting: Setting) -> Iterator[Row]:
    """Reading what is known before a window is written, and a step of training, as operations per second."""
    config, device = config_of("upsampler", setting.smoke), setting.device
    tokens = 32 if setting.smoke else 4096

    def prefill() -> float:
        prior = random_prior(config, device, dtype_of(setting), 16)
        state = prior.new_state(some_conditions(config, 1, device), 1)
        codes = some_codes(config, 1, tokens, device)

        def work() -> None:
            item = state.at(torch.zeros_like(state.transformer.positions), 0)
            for part in before(codes).split(1024, 1):
                item = prior.read(part, item)

        return 2.0 * step_numbers(config) * tokens / seconds_of(work, device, 3)

    batch = 2

    def train() -> float:
        prior = random_prior(config, device, torch.float32, 16).train().requires_grad_(True)
        optimiser = torch.optim.AdamW(prior.parameters(), lr=1e-6, fused=device.type == "cuda")
        conditions = some_conditions(config, batch, device)
        codes = some_codes(config, batch, config.codes_context, device)

        def work() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = prior(codes, conditions).losses.total.mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        return 6.0 * step_numbers(config) * codes.numel() / seconds_of(work, device, 3)

    limit = setting.limits.flops
    yield Row(what=f"upsampler, {tokens} codes read in chunks of 1024", unit="op/s", measure=prefill, limit=limit,
              higher=True)  # fmt: skip
    yield Row(what=f"upsampler, a step of training, {batch} windows, AdamW", unit="op/s", measure=train, limit=limit,
              higher=True, needs_s=30)  # fmt: skip


def jukebox_of(setting: Setting, top: str, settings: EngineSettings) -> Jukebox:
    """A whole model with random weights, as `jukebox.load` would make it."""
    upsampler = config_of("upsampler", setting.smoke)
    configs = (upsampler, replace(upsampler, level=1), config_of(top, setting.smoke))
    vocabulary = Vocabulary.from_songs(presets.TINY_NAMES)
    levels = {
        config.level: LevelModel(
            config=config,
            words=LabelEncoder(
                vocabulary=vocabulary, alphabet=V3_ALPHABET, sample_rate=44_100,
                lyric_window=config.lyrics.tokens if config.lyrics is not None else 0,
            ),
            hop_fraction=0.125 if config.upsampler is None else 0.5,
        )
        for config in configs
    }  # fmt: skip
    vqvae = model_of(setting)
    if vqvae.config.codebook.size != configs[0].codebook_size:
        raise AssertionError("the VQ-VAE and the priors have other codes")

    def prior(level: int) -> Prior:
        return random_prior(configs[level], setting.device, dtype_of(setting), 16)

    def stored(level: int) -> Imported:
        return Imported(config=configs[level], tensors=prior(level).state_dict(), source={})

    parts = Parts(SongModel(top, vqvae, levels), lambda level: "random", stored)
    return Jukebox(parts, setting.device, settings)


@dataclass(frozen=True, kw_only=True)
class SongCase:
    """Songs that are written: as what, in which precision, so many windows at once."""

    what: str
    request: SongRequest
    precision: str
    slots: int


def song_cases(setting: Setting) -> Iterator[SongCase]:
    """What the targets speak of first; what takes longest last."""
    cases = (
        ("5b_lyrics", 20, 1, 16, "int8"), ("1b_lyrics", 60, 1, 16, "bfloat16"), ("5b_lyrics", 60, 1, 16, "int8"),
        ("5b_lyrics", 60, 1, 16, "int4"), ("5b_lyrics", 20, 64, 1, "int8"), ("5b_lyrics", 20, 1, 1, "bfloat16"),
        ("5b_lyrics", 60, 1, 1, "bfloat16"), ("1b_lyrics", 60, 64, 1, "bfloat16"),
    )  # fmt: skip
    for top, seconds, takes, parts, precision in cases[:2] if setting.smoke else cases:
        length, takes_ = (0.1, min(takes, 2)) if setting.smoke else (seconds, takes)
        how = "exact" if parts == 1 else f"upsamplers in {parts} parts"
        yield SongCase(
            what=f"{takes_} of {length} s, {top}, {precision}, {how}{WAYS[setting.engine]}",
            request=SongRequest(model=top, songs=(Labels(total_duration_s=120.0),), seconds=length, takes=takes_,
                                parallel_windows=parts),
            precision=precision, slots=max(64, takes_),
        )  # fmt: skip


def songs(setting: Setting) -> Iterator[Row]:
    """Songs through three levels, to codes of the finest: seconds by the clock, all of the driver's work included."""
    on_card = setting.device.type == "cuda"
    for case in song_cases(setting):
        settings = EngineSettings(
            engine=setting.engine if on_card else "graph",  # pyright: ignore[reportArgumentType]
            precision=case.precision if on_card else "float32",  # pyright: ignore[reportArgumentType]
        )
        jukebox = jukebox_of(setting, case.request.model, settings)

        def write(jukebox: Jukebox = jukebox, case: SongCase = case) -> float:
            start = time.perf_counter()
            for _ in jukebox.events(case.request, options=Options(slots=case.slots, previews=None)):
                pass
            return time.perf_counter() - start

        least, expected = _song_limit(setting, jukebox, case)
        yield Row(
            what=case.what, unit="s", measure=write, limit=least, expected=expected,
            needs_s=0.0 if setting.smoke else 1.5 * expected + 15,
        )  # fmt: skip


def _song_limit(setting: Setting, jukebox: Jukebox, case: SongCase) -> tuple[float, float]:
    """Seconds of all steps of all levels, by memory and arithmetic alone, and with what their stages cost."""
    least = expected = 0.0
    for level in jukebox.plan(case.request).levels:
        found, config = (
            estimate_level(jukebox.model, level, case.slots, jukebox.need),
            jukebox.model.level(level.level).config,
        )
        bits = bits_of(case.precision, config)
        each = step_limit(setting, config, found.slots, bits, 8 if found.slots >= 64 else 16, setting.engine)
        steps = found.tokens / found.slots
        least, expected = least + steps * each[0], expected + steps * each[1]
    return least, expected


def bits_of(precision: str, config: PriorConfig) -> int:
    """Of a prior's matrices: 4 are for the top prior alone."""
    bits = {"int8": 8, "int4": 4}.get(precision, 16)
    return 8 if bits == 4 and config.upsampler is not None else bits


RUNGS = ("bfloat16", "int8", "int4", "int8, caches of 8 bits")


def cost(setting: Setting) -> Iterator[Row]:
    """What each precision costs against float32, teacher-forced: the mean divergence of its predictions, in bits.

    That is how many bits more a code costs that was drawn as float32 says. The weights are random: a trained prior's
    is measured by `jukebox evaluate likelihood --precision`.
    """
    for name, gates in (("upsampler", (0.001, 0.01, 0.03, 0.01)), ("1b_lyrics", (0.001, 0.01, 0.03, 0.01))):
        config = config_of(name, setting.smoke)
        for rung, gate in zip(RUNGS, gates, strict=True):
            yield Row(
                what=f"{name}, {rung}, random weights", unit="bits per token",
                measure=lambda c=config, r=rung: _divergence(setting, c, r), expected=gate, needs_s=15,
            )  # fmt: skip


@torch.no_grad()
def _divergence(setting: Setting, config: PriorConfig, rung: str) -> float:
    count = config.codes_context if setting.smoke else 2048
    codes, conditions = some_codes(config, 1, count, setting.device), some_conditions(config, 1, setting.device)
    exact = _logits(random_prior(config, setting.device, torch.float32, 16), codes, conditions)
    reduced = random_prior(config, setting.device, torch.float32, 16)
    if rung.startswith("int"):
        quantise(reduced.transformer, 4 if rung == "int4" else 8)
    if "caches" in rung:
        for module in reduced.transformer.modules():
            if isinstance(module, SelfAttention):
                transformer = config.transformer
                module.qkv = RoundedPairs(module.qkv, transformer.attention_width, transformer.heads)  # pyright: ignore
    if setting.device.type == "cuda" or rung == "bfloat16":
        reduced.to(torch.bfloat16)
    found = _logits(reduced, codes, conditions)
    return float(
        F.kl_div(found, exact, reduction="none", log_target=True).sum(-1).mean() / torch.log(torch.tensor(2.0))
    )


def _logits(prior: Prior, codes: Tensor, conditions: Conditions) -> Tensor:
    return prior(codes, conditions).logits[:, prior.layout.prefix :].float().log_softmax(-1)

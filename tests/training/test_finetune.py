from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jukebox import presets
from jukebox.checkpoints import store
from jukebox.checkpoints.load import load_prior
from jukebox.checkpoints.packing import pack, parts_in
from jukebox.errors import CheckpointError, ConfigError
from jukebox.labels.text import V3_ALPHABET
from jukebox.labels.vocabulary import Vocabulary
from jukebox.prior.conditions import Conditions
from jukebox.training import lora
from jukebox.training.finetune import alphabet_of, freeze, grow, merged_tensors, prior_to_finetune
from jukebox.training.loop import RunFolder, Trainer
from jukebox.training.recipe import FinetuneConfig, LoraConfig, VqvaeRecipe
from jukebox.training.vqvae_task import VqvaeStep, VqvaeTask
from jukebox.training.workers import ALONE
from jukebox.vqvae.losses import Bandwidth
from jukebox.vqvae.vqvae import VQVAE, VqvaeOutput
from tests import mini
from tests.prior.models import ENCODER, UPSAMPLER, build, codes, conditions
from tests.training.small import VQVAE_CONFIG, quiet, run_config, vqvae_trainer

SONGS = [(f"artist {i}", f"genre {i}") for i in range(1, 7)]
VOCABULARY = Vocabulary.from_songs([*SONGS[:5], ("artist 6", "genre 4")])
EIGHT_BITS = 0.02
"""Of the largest logit: what 8-bit matrices cost here; measured: 0.006."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A saved prior with the words it knows: seven artists, five genres (and the unknown ones)."""
    folder = tmp_path / "base"
    config = replace(ENCODER, labels=replace(ENCODER.labels, genres=6))
    words = {store.VOCABULARY: VOCABULARY.to_json()}
    model = build(config)
    store.save(folder, model.state_dict(), config, source={"origin": "test"}, words=words)
    return folder


def logits(model: torch.nn.Module) -> torch.Tensor:
    told: Conditions = conditions(ENCODER)
    return model(codes(), told).logits


def test_new_names_get_rows_from_the_mean_or_from_a_named_one(base: Path) -> None:
    songs = [("artist 1", "genre 1"), ("Nobody Yet", "genre 9")]
    config = FinetuneConfig(model=str(base), new_artists="artist 2")
    model, vocabulary = prior_to_finetune(config, None, songs, seed=0)
    old = load_prior(base)
    assert vocabulary.artist_id("nobody yet") == 7
    assert vocabulary.artist_id("artist 2") == VOCABULARY.artist_id("artist 2")
    assert torch.equal(model.labels.artist.weight[:7], old.labels.artist.weight)
    assert torch.equal(model.labels.artist.weight[7], old.labels.artist.weight[VOCABULARY.artist_id("artist 2")])
    torch.testing.assert_close(model.labels.genre.weight[-1], old.labels.genre.weight.mean(0))
    assert model.config.labels.artists == 8
    assert torch.equal(logits(model), logits(old.train()))


def test_v2_genres_grow_word_by_word() -> None:
    known = replace(VOCABULARY, rule="v2", artists=replace(VOCABULARY.artists, rule="v2"))
    known = replace(known, genres=replace(known.genres, rule="v2", entries=(("unknown", 0), ("rock", 1))))
    grown = grow(known, [("A-B", "Soft Rock")], 7, 4)
    assert grown.genre_ids("soft rock") == (4, 1)
    assert grown.artist_id("a b") == 7


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_lora_begins_as_the_model_learns_and_merges_back(base: Path, precision: str, tmp_path: Path) -> None:
    targets = ("transformer.layers.*.weight", "token_embedding.weight", "lyrics_encoder.*.qkv.weight")
    config = FinetuneConfig(
        model=str(base), lora=LoraConfig(rank=2, targets=targets), trained=("labels.*",), frozen_precision=precision
    )
    model, _ = prior_to_finetune(config, None, [], seed=0)
    old = load_prior(base).train()
    expected, found = logits(old), logits(model)
    limit = 1e-5 if precision == "float32" else EIGHT_BITS
    assert (found - expected).abs().max() <= limit * expected.abs().max()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all("difference" in n or n.startswith("labels.") or "parametrizations" in n for n in trained)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        loss = model(codes(), conditions(ENCODER)).losses.total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert logits(model).sub(found).abs().max() > 1e-3
    merged = merged_tensors(model, ALONE)
    store.save(tmp_path / "merged", merged, model.config, source={})
    again = load_prior(tmp_path / "merged").train()
    torch.testing.assert_close(logits(again), logits(model), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["vqvae", "upsampler"])
def test_lora_on_convolutions_begins_as_the_model_learns_and_merges_back(kind: str) -> None:
    """Kernels of plain, strided, dilated and transposed convolutions, seen as matrices [first, rest]."""
    torch.manual_seed(0)
    audio = torch.randn(1, 1, 256)
    if kind == "vqvae":
        make, targets = (lambda: VQVAE(VQVAE_CONFIG)), ("encoders.*.weight", "decoders.*.weight")

        def result(model: Any) -> torch.Tensor:
            return model(audio, Bandwidth()).levels[0].reconstruction
    else:
        make, targets = (lambda: build(UPSAMPLER)), ("upsampler.*.weight",)

        def result(model: Any) -> torch.Tensor:
            return model(codes(), conditions(UPSAMPLER)).logits

    model, old = make(), make()
    old.load_state_dict(model.state_dict())
    freeze(model, FinetuneConfig(model="x", lora=LoraConfig(rank=2, targets=targets)), seed=0)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("labels.")}
    kernels = {n for n, p in old.named_parameters() if p.ndim == 3}
    adapted = {name.replace("parametrizations.weight.0", "weight")[:-2] for name in trained}
    assert kernels <= adapted
    first = result(model)
    torch.testing.assert_close(first, result(old))
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    for _ in range(3):
        result(model).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (result(model) - first).abs().max() > 1e-3
    merged = merged_tensors(model, ALONE)
    assert set(merged) == set(old.state_dict())
    old.load_state_dict(dict(merged))
    torch.testing.assert_close(result(old), result(model), rtol=1e-4, atol=1e-5)


def test_8_bits_are_a_quarter_of_the_memory_and_close() -> None:
    weight = torch.randn(32, 48, generator=torch.Generator().manual_seed(0))
    small, scale = lora.packed(weight)
    assert small.element_size() * small.numel() + scale.numel() * 4 < weight.numel() * 4 / 3.5
    assert (lora.unpacked(small, scale, torch.float32) - weight).abs().max() <= scale.max() / 2 + 1e-6


def test_frozen_parts_stay(base: Path) -> None:
    model, _ = prior_to_finetune(FinetuneConfig(model=str(base), frozen=("transformer.*",)), None, [], seed=0)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("transformer.")}


def test_a_frozen_encoder_keeps_its_codes_while_its_decoder_learns(tmp_path: Path) -> None:
    base = vqvae_trainer(tmp_path / "base", steps=3)
    base.train()
    learnt, recipe = base.task, base.recipe
    assert isinstance(learnt, VqvaeTask)
    assert isinstance(recipe, VqvaeRecipe)
    before = {name: tensor.clone() for name, tensor in learnt.model.state_dict().items()}
    freeze(learnt.model, FinetuneConfig(model="x", frozen=("encoders.1.*",)), 0)
    more = replace(recipe, run=run_config(steps=4, save_every_steps=4))
    task = VqvaeTask(learnt.model, more, learnt.bandwidth, learnt.device)
    Trainer(more, task, base.sources, RunFolder(path=tmp_path / "more"), say=quiet).train()
    kept = {name for name, tensor in task.model.state_dict().items() if torch.equal(tensor, before[name])}
    assert {name for name in before if name.startswith(("encoders.1", "codebooks.1.vectors"))} <= kept
    assert not [name for name in kept if name.startswith(("decoders.1", "encoders.0", "codebooks.0"))]


def test_levels_of_which_nothing_learns_are_left_out() -> None:
    model = VQVAE(VQVAE_CONFIG)
    freeze(model, FinetuneConfig(model="x", frozen=("encoders.*", "decoders.1.*")), 0)
    step, sound = VqvaeStep(model), torch.randn(1, 1, 2048)
    loss, output = step(sound, Bandwidth())
    assert isinstance(output, VqvaeOutput)
    assert (step.levels, len(output.levels)) == ((0,), 1)
    whole = model(sound, Bandwidth())
    assert torch.equal(output.levels[0].reconstruction, whole.levels[0].reconstruction)
    learnt = [p for p in model.parameters() if p.requires_grad]
    both = (torch.autograd.grad(each, learnt, retain_graph=True) for each in (loss, whole.loss))
    assert all(torch.equal(own, other) for own, other in zip(*both, strict=True))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            FinetuneConfig(model="x", frozen=("transfromer.*",)),
            "frozen has .* matches no parameter",
        ),
        (FinetuneConfig(model="x", lora=LoraConfig(targets=("layers.*",))), "targets has .* which matches no matrix"),
    ],
)
def test_patterns_that_match_nothing_are_refused(config: FinetuneConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze(build(ENCODER), config, 0)


def test_nothing_frozen_needs_no_bits() -> None:
    with pytest.raises(ConfigError, match="frozen_precision is 'int8'; expected float32, since nothing is frozen"):
        FinetuneConfig(model="x", frozen_precision="int8")
    quiet("")


def test_one_goes_on_from_a_level_of_the_packed_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its matrices become float32, its names are those of that level's prior."""
    monkeypatch.setattr(presets, "MINI_FOLDER", tmp_path / "mini")
    parts = parts_in(mini.write_runs(tmp_path / "runs"))
    pack(parts, tmp_path / "mini")
    config = FinetuneConfig(model="mini")
    model, vocabulary = prior_to_finetune(config, 2, [("Cleo", "waltz")], seed=0)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert [name for name, _ in vocabulary.artists.entries] == ["unknown", "Ada", "Bo", "Cleo"]
    assert alphabet_of(config, model.config) == V3_ALPHABET
    pack(parts, tmp_path / "mini", lambda prior: prior.reduce(8))
    with pytest.raises(CheckpointError, match="matrices in 8 bits, which is for songs alone and cannot be trained"):
        prior_to_finetune(config, 2, [], seed=0)

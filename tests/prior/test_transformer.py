"""The stack: one path for whole window, chunk and step; states that nothing can disturb; what is wanted besides."""

import dataclasses
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from jukebox.config import TransformerConfig
from jukebox.errors import ConfigError
from jukebox.prior.cache import TransformerState
from jukebox.prior.transformer import Layer, Transformer, Wanted

CONFIG = TransformerConfig(
    context=24, width=8, attention="RCPDXLWSFET(RC)", heads=2, rows=4, attention_ratio=0.5, tail=2, window=5, stride=5
)
# float64: measured at most 2e-15 of outputs up to 6.
EXACT = 1e-11


def build(config: TransformerConfig = CONFIG) -> Transformer:
    torch.manual_seed(0)
    return Transformer(config, prefix=5).double().eval()


def inputs(batch: int = 3) -> tuple[Tensor, Tensor]:
    """Embedded tokens of a whole window, and encoded lyrics."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 24, 8, dtype=torch.float64, generator=generator)
    return x, torch.randn(batch, 7, 8, dtype=torch.float64, generator=generator)


def extend(module: Transformer, state: TransformerState, *pieces: Tensor) -> tuple[Tensor, TransformerState]:
    found = []
    for piece in pieces:
        output = module(piece, state=state)
        assert output.state is not None
        found.append(output.hidden)
        state = output.state
    return torch.cat(found, 1), state


@pytest.mark.parametrize("sizes", [1, 5, 6, 11, [10, 1, 1, 1, 11], [1, 22, 1]])
def test_chunks_and_steps_are_the_whole_window(sizes: int | list[int]) -> None:
    module, (x, lyrics) = build(), inputs()
    whole = module(x, encoded_lyrics=lyrics).hidden
    found, state = extend(module, module.new_state(3, lyrics), *x.split(sizes, 1))
    torch.testing.assert_close(found, whole, atol=EXACT, rtol=0)
    assert (state.positions.tolist(), state.furthest) == ([24] * 3, 24)


def test_a_part_of_the_window_is_its_beginning() -> None:
    module, (x, lyrics) = build(), inputs()
    whole, part = (module(y, encoded_lyrics=lyrics).hidden for y in (x, x[:, :15]))
    torch.testing.assert_close(part, whole[:, :15], atol=EXACT, rtol=0)


def test_items_at_their_own_positions() -> None:
    """Slots: each item is filled to its own place through a view, then all step together; one begins anew."""
    module, (x, lyrics) = build(), inputs()
    whole = module(x, encoded_lyrics=lyrics).hidden
    state, places = module.new_state(3, lyrics), [9, 0, 17]
    for item, place in enumerate(places):
        if place:
            module(x[item : item + 1, :place], state=state.items(item, item + 1))
    state, items = state.at(places), [0, 1, 2]
    for _ in range(6):
        output = module(x[items, places][:, None], state=state)
        torch.testing.assert_close(output.hidden[:, 0], whole[items, places], atol=EXACT, rtol=0)
        places = [place + 1 for place in places]
        state = output.state
    places[0] = 0
    state = state.at(places)
    found = module(x[items, places][:, None], state=state).hidden[:, 0]
    torch.testing.assert_close(found, whole[items, places], atol=EXACT, rtol=0)


@pytest.mark.parametrize("size", [1, 7])
def test_an_interrupted_call_can_be_repeated(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module, (x, lyrics) = build(), inputs()
    whole = module(x, encoded_lyrics=lyrics).hidden
    _, state = extend(module, module.new_state(3, lyrics), x[:, :10])
    after = x[:, 10 : 10 + size]
    for depth in range(CONFIG.depth):
        with monkeypatch.context() as broken:
            broken.setattr(cast(Layer, module.layers[depth]).mlp, "forward", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                module(after, state=state)
    found, state = extend(module, state, after, x[:, 10 + size :])
    torch.testing.assert_close(found, whole[:, 10:], atol=EXACT, rtol=0)


def _interrupt(*_: object) -> Tensor:
    raise KeyboardInterrupt


def test_states_do_not_disturb_each_other() -> None:
    module, (x, lyrics) = build(), inputs()
    other = x.flip(1)
    expected = [module(y, encoded_lyrics=lyrics).hidden for y in (x, other)]
    states = [module.new_state(3, lyrics) for _ in expected]
    for start in range(0, 24, 4):
        for index, y in enumerate((x, other)):
            found, states[index] = extend(module, states[index], y[:, start : start + 4])
            module(x.roll(1, 0), encoded_lyrics=lyrics)
            torch.testing.assert_close(found, expected[index][:, start : start + 4], atol=EXACT, rtol=0)


def test_modules_hold_parameters_and_nothing_else() -> None:
    module, (x, lyrics) = build(), inputs()

    def tensors() -> dict[str, object]:
        return {
            f"{name}.{key}": value
            for name, part in module.named_modules()
            for key, value in vars(part).items()
            if not key.startswith("_")
        }

    before = tensors()
    assert not any(isinstance(value, Tensor) for value in before.values())
    assert list(module.buffers()) == []
    extend(module, module.new_state(3, lyrics), x)
    assert tensors() == before


@pytest.mark.parametrize("size", [24, 1, 9])
def test_what_is_wanted_changes_nothing(size: int) -> None:
    module, (x, lyrics) = build(), inputs()
    wanted = Wanted(layers=frozenset(range(CONFIG.depth)), attention=frozenset({3, 4, 5}))
    plain, asked = module.new_state(3, lyrics), module.new_state(3, lyrics)
    for piece in x.split(size, 1):
        without, output = module(piece, state=plain), module(piece, state=asked, wanted=wanted)
        assert torch.equal(output.hidden, without.hidden)
        assert torch.equal(output.layers[CONFIG.depth - 1], output.hidden)
        assert sorted(output.layers) == list(range(CONFIG.depth))
        assert sorted(output.attention) == [3, 4, 5]
        assert without.layers == without.attention == {}
        plain, asked = without.state, output.state
    assert torch.equal(module(x, encoded_lyrics=lyrics, wanted=wanted).hidden, module(x, encoded_lyrics=lyrics).hidden)


def test_wanted_attention_is_by_key_in_every_form() -> None:
    module, (x, lyrics) = build(), inputs()
    wanted = Wanted(attention=frozenset({3, 4, 5}))
    whole = module(x, encoded_lyrics=lyrics, wanted=wanted).attention
    assert {layer: found.shape[1:] for layer, found in whole.items()} == {3: (2, 24, 24), 4: (2, 24, 7), 5: (2, 24, 8)}
    causal = torch.ones(24, 24, dtype=torch.bool).tril()
    for layer, keys in ((3, 24), (5, 8)):
        assert bool((whole[layer][:, :, ~causal[:, :keys]] == 0).all())
    state = module.new_state(3, lyrics)
    for start, piece in zip(range(0, 24, 5), x.split(5, 1), strict=True):
        output = module(piece, state=state, wanted=wanted)
        for layer, found in output.attention.items():
            torch.testing.assert_close(found.sum(-1), torch.ones_like(found.sum(-1)))
            expected = whole[layer][:, :, start : start + piece.shape[1], : found.shape[-1]]
            torch.testing.assert_close(found, expected, atol=EXACT, rtol=0)
        state = output.state


def test_recomputation_changes_memory_only() -> None:
    module, (x, lyrics) = build(), inputs()
    wanted = Wanted(layers=frozenset({1}), attention=frozenset({3}))
    found = []
    for recompute in (False, True):
        output = module(x, encoded_lyrics=lyrics, wanted=wanted, recompute=recompute)
        loss = output.hidden.square().sum() + output.layers[1].sum() + output.attention[3].square().sum()
        found.append([output.hidden, *torch.autograd.grad(loss, list(module.parameters()))])
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(recomputed, plain, atol=0, rtol=0)


def test_a_layer_is_two_residual_branches() -> None:
    for scaled in (False, True):
        config = TransformerConfig(
            context=8, width=8, attention="DD", heads=1, rows=None, mlp_ratio=2.0, residual_scale=scaled
        )
        module = build(config)
        x = torch.randn(1, 8, 8, dtype=torch.float64)
        layer = cast(Layer, module.layers[0])
        assert (layer.mlp.input.out_features, config.attention_width) == (16, 2)
        first = module(x, wanted=Wanted(layers=frozenset({0}))).layers[0]
        for branch in (layer.attention.output, layer.mlp.output):
            nn.init.zeros_(cast(nn.Linear, branch).weight)
            nn.init.zeros_(cast(nn.Linear, branch).bias)
        silent = module(x, wanted=Wanted(layers=frozenset({0}))).layers[0]
        assert torch.equal(silent, x)
        assert not torch.allclose(first, x)


# Measured against float64, outputs up to 6.1: float32 1e-6, bf16 0.020, fp16 0.0024 (in steps too).
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.006)])
def test_lower_precision(kind: torch.dtype, tolerance: float) -> None:
    module, (x, lyrics) = build(), inputs()
    expected = module(x, encoded_lyrics=lyrics).hidden
    module.to(kind)
    found = module(x.to(kind), encoded_lyrics=lyrics.to(kind)).hidden
    stepped, _ = extend(module, module.new_state(3, lyrics.to(kind)), *x.to(kind).split([9, 1, 1, 13], 1))
    for output in (found, stepped):
        assert output.dtype == torch.float32  # what layers add up is not rounded to 16 bits
        torch.testing.assert_close(output.double(), expected, atol=tolerance, rtol=0)


def test_gradients_in_bfloat16() -> None:
    """The direction of the gradient is kept: cosine with float64 above 0.99 (measured above 0.9999)."""
    module, (x, lyrics) = build(), inputs()
    found = []
    for kind in (torch.float64, torch.bfloat16):
        module.to(kind)
        loss = module(x.to(kind), encoded_lyrics=lyrics.to(kind)).hidden.square().sum()
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        found.append(torch.cat([gradient.double().flatten() for gradient in gradients]))
    assert float(torch.cosine_similarity(*found, dim=0)) > 0.99


def test_rotary_and_normed_stacks_step_as_they_run() -> None:
    config = dataclasses.replace(CONFIG, position="rotary", query_key_norm=True)
    module, (x, lyrics) = build(config), inputs()
    names = {name for name, _ in module.named_parameters()}
    assert {"layers.0.attention.query_norm.weight", "layers.0.attention.key_norm.weight"} <= names
    whole = module(x, encoded_lyrics=lyrics).hidden
    found, _ = extend(module, module.new_state(3, lyrics), *x.split([7, 1, 1, 15], 1))
    torch.testing.assert_close(found, whole, atol=EXACT, rtol=0)


def test_no_gradients_flow_with_a_state() -> None:
    module, (x, lyrics) = build(), inputs()
    found, state = extend(module, module.new_state(3, lyrics), x[:, :5])
    assert not found.requires_grad
    assert not any(cache.requires_grad for layer in state.caches for cache in layer)


@pytest.mark.parametrize(("layer", "sentence"), [(0, "only layers D, L and X"), (12, "layers 0 to 11")])
def test_attention_that_cannot_be_shown(layer: int, sentence: str) -> None:
    module, (x, lyrics) = build(), inputs()
    with pytest.raises(ConfigError, match=sentence):
        module(x, encoded_lyrics=lyrics, wanted=Wanted(attention=frozenset({layer})))


def test_bugs_of_callers_are_caught() -> None:
    module, (x, lyrics) = build(), inputs()
    state = module.new_state(3, lyrics).at([0, 1, 0])
    with pytest.raises(AssertionError, match="same one"):
        module(x[:, :2], state=state)
    with pytest.raises(AssertionError, match="full"):
        module(x[:, :1], state=state.at([3, 24, 0]))


def test_stacks_in_words() -> None:
    config = dataclasses.replace(CONFIG, attention="R(CP)D")
    assert (config.layers, config.depth) == (("R", "CP", "D"), 3)
    for attention in ("(R)", "(RR)", "R)", "()", "(RX)", "(R(CP))", "", "Z"):
        with pytest.raises(ConfigError, match="letters of RCPDXLETWSF"):
            dataclasses.replace(CONFIG, attention=attention)
    for field in ("tail", "window", "stride", "rows"):
        with pytest.raises(ConfigError, match=f"{field} is None; expected a number"):
            dataclasses.replace(CONFIG, **{field: None})
    with pytest.raises(ConfigError, match="position"):
        dataclasses.replace(CONFIG, width=6, heads=1, position="rotary")


def test_it_builds_without_memory() -> None:
    with torch.device("meta"):
        module = Transformer(CONFIG, prefix=5)
    assert all(parameter.is_meta for parameter in module.parameters())

"""Every form of every pattern equals the definition; rotary positions; half precision."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jukebox.config import TransformerConfig
from jukebox.nn.linear import has_operator
from jukebox.prior.attention import CrossAttention, SelfAttention, rotated
from jukebox.prior.cache import TransformerState, empty_cache
from jukebox.prior.patterns import of_layer
from jukebox.prior.span import Span
from jukebox.prior.step import Step
from tests.prior.reference import LAYERS, attention, layer, mask, sizes

# float64: measured at most 4e-16 of outputs up to 1.
EXACT = 1e-11


def whole(module: SelfAttention, x: Tensor) -> Tensor:
    count = x.shape[1]
    return module(x, Span(0, count, count, x.device), ())[0]


def new_state(module: SelfAttention, x: Tensor, context: int) -> TransformerState:
    item = x.new_zeros(len(x), 2, module.heads, module.output.in_features // module.heads)
    caches = tuple(empty_cache(pattern, context, item) for pattern in module.patterns)
    return TransformerState(positions=torch.zeros(len(x), dtype=torch.int64), furthest=0, caches=(caches,))


@torch.no_grad()
def in_chunks(module: SelfAttention, x: Tensor, chunks: list[int]) -> Tensor:
    """The outputs when the window comes in chunks of these sizes; a size of 1 is a step."""
    context = x.shape[1]
    state, found = new_state(module, x, context), []
    for piece in x.split(chunks, 1):
        count = piece.shape[1]
        place = Step(state, context) if count == 1 else Span(state.furthest, count, context, x.device)
        found.append(module(piece, place, state.caches[0])[0])
        place.commit()
        state = state.advanced(count)
    return torch.cat(found, 1)


@settings(max_examples=60, deadline=None)
@given(sizes(), st.integers(0, 20), st.data())
def test_whole_window_steps_and_chunks_are_the_definition(
    fields: dict[str, Any], prefix: int, data: st.DataObject
) -> None:
    config = TransformerConfig(**fields)
    module = layer(config, prefix)
    x = torch.randn(2, config.context, config.width, dtype=torch.float64)
    expected = attention(module, x)
    torch.testing.assert_close(whole(module, x), expected, atol=EXACT, rtol=0)
    torch.testing.assert_close(in_chunks(module, x, [1] * config.context), expected, atol=EXACT, rtol=0)
    chunks: list[int] = []
    while sum(chunks) < config.context:
        chunks.append(data.draw(st.integers(1, config.context - sum(chunks))))
    torch.testing.assert_close(in_chunks(module, x, chunks), expected, atol=EXACT, rtol=0)


@settings(max_examples=25, deadline=None)
@given(sizes(), st.integers(0, 20), st.data())
def test_each_item_at_its_own_position(fields: dict[str, Any], prefix: int, data: st.DataObject) -> None:
    config = TransformerConfig(**fields)
    module = layer(config, prefix)
    x = torch.randn(2, config.context, config.width, dtype=torch.float64)
    lead = data.draw(st.integers(0, config.context - 1))
    state, expected = new_state(module, x, config.context), attention(module, x)
    with torch.no_grad():
        for first in range(config.context - lead):
            for positions in [[0, p] for p in range(lead)] if first == 0 else []:
                # The second item alone goes ahead; what the first writes meanwhile at 0 is written again later.
                now = state.at(positions)
                module(x[[0, 1], positions][:, None], Step(now, config.context), now.caches[0])
            now = state.at([first, first + lead])
            found = module(x[[0, 1], [first, first + lead]][:, None], Step(now, config.context), now.caches[0])[0]
            wanted = expected[[0, 1], [first, first + lead]][:, None]
            torch.testing.assert_close(found, wanted, atol=EXACT, rtol=0)


@settings(max_examples=20, deadline=None)
@given(sizes(), st.integers(0, 20))
def test_receptive_field_measured_by_gradient(fields: dict[str, Any], prefix: int) -> None:
    config = TransformerConfig(**fields)
    module = layer(config, prefix)
    x = torch.randn(1, config.context, config.width, dtype=torch.float64, requires_grad=True)
    found, sees = whole(module, x), mask(module.patterns, config.context)
    for query in range(config.context):
        (gradient,) = torch.autograd.grad(found[0, query].sum(), x, retain_graph=True, materialize_grads=True)
        felt = set(gradient[0].abs().amax(-1).nonzero().flatten().tolist())
        seen = set(sees[query].nonzero().flatten().tolist())
        assert felt - {query} == seen - {query}  # a query matters to itself where it has a choice of keys
        assert seen or not felt


@pytest.mark.parametrize("letters", LAYERS)
def test_gradients_are_those_of_the_definition(letters: str) -> None:
    config = TransformerConfig(
        context=20, width=6, attention=letters, heads=3, rows=4, attention_ratio=1.0, tail=2, window=4, stride=3
    )
    module = layer(config, prefix=6)
    x = torch.randn(2, 20, 6, dtype=torch.float64)
    weight = torch.randn(2, 20, 6, dtype=torch.float64)
    expected = torch.autograd.grad((attention(module, x) * weight).sum(), list(module.parameters()))
    found = torch.autograd.grad((whole(module, x) * weight).sum(), list(module.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=EXACT, rtol=1e-10)


@pytest.mark.parametrize("letters", ["P", "F"])
def test_of_nothing_the_output_is_the_bias(letters: str) -> None:
    config = TransformerConfig(context=12, width=6, attention=letters, heads=1, rows=3, tail=1)
    module = layer(config, 0)
    x = torch.randn(1, 12, 6, dtype=torch.float64)
    for found in (whole(module, x), in_chunks(module, x, [1] * 12), in_chunks(module, x, [2, 10])):
        assert torch.equal(found[0, :3], module.output.bias.expand(3, -1))


class _Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that any operation made."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else [found]:
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.untyped_storage().nbytes() // tensor.element_size())
        return found


@pytest.mark.parametrize("letters", ["R", "C", "P", "W", "S", "F", "E", "T", "(RC)", "(WS)", "(RF)"])
def test_a_sparse_pattern_never_makes_a_square(letters: str) -> None:
    context, rows = 4096, 64
    config = TransformerConfig(
        context=context, width=8, attention=letters, heads=1, rows=rows, tail=1, window=64, stride=64
    )
    module = SelfAttention(config, of_layer(config.layers[0], config, 0))
    has_operator()  # is tried once, with tensors that have no storage
    with _Largest() as largest:
        whole(module, torch.randn(1, context, 8, requires_grad=True)).sum().backward()
        assert largest.entries <= 2 * context * rows + context * 32 < context**2 / 8
        with torch.no_grad():
            state = new_state(module, torch.randn(1, 1, 8), context)
            module(torch.randn(1, 2048, 8), Span(0, 2048, context, torch.device("cpu")), state.caches[0])
        assert largest.entries <= 2 * context * rows + context * 32


@pytest.mark.parametrize("head_width", [150, 480])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_any_head_width_in_any_precision(head_width: int, kind: torch.dtype) -> None:
    """Half precision stays within a few roundings of its own: measured 0.008 (bf16), 0.0012 (fp16) of up to 1.3."""
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.02, torch.float16: 0.003}[kind]
    for letters in ("R", "C", "P", "D", "W", "(RC)"):
        config = TransformerConfig(
            context=24, width=head_width, attention=letters, heads=1, rows=4, attention_ratio=1.0, window=5
        )
        module = layer(config, 0)
        x = torch.randn(2, 24, head_width, dtype=torch.float64)
        expected = whole(module, x)
        lower = module.to(kind)
        for found in (whole(lower, x.to(kind)), in_chunks(lower, x.to(kind), [10, 1, 1, 12])):
            assert found.dtype == kind
            torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)


def test_a_merged_layer_is_stable_with_large_logits() -> None:
    config = TransformerConfig(context=16, width=4, attention="(RP)", heads=1, rows=4, attention_ratio=1.0)
    module = layer(config, 0)
    x = torch.randn(1, 16, 4, dtype=torch.float64) * 100
    torch.testing.assert_close(whole(module, x), attention(module, x), atol=1e-9, rtol=0)
    x.requires_grad_()
    whole(module, x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_rotary_logits_depend_on_distance_alone() -> None:
    queries, keys = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    logits = [
        float((rotated(queries, torch.tensor([[at + 5]])) * rotated(keys, torch.tensor([[at]]))).sum())
        for at in (0, 3, 900)
    ]
    assert logits == pytest.approx([logits[0]] * 3, abs=1e-3)  # angles are float32
    assert torch.equal(rotated(queries, torch.tensor([[0]])), queries)


@pytest.mark.parametrize("options", [{"position": "rotary"}, {"query_key_norm": True}])
@pytest.mark.parametrize("letters", ["R", "C", "P", "(RC)"])
def test_options_of_new_models_are_the_same_in_every_form(options: dict, letters: str) -> None:
    config = TransformerConfig(context=20, width=8, attention=letters, heads=2, rows=4, attention_ratio=1.0, **options)
    module = layer(config, 0)
    x = torch.randn(2, 20, 8, dtype=torch.float64)
    found = whole(module, x)
    plain = layer(TransformerConfig(context=20, width=8, attention=letters, heads=2, rows=4, attention_ratio=1.0), 0)
    assert not torch.allclose(found, whole(plain, x))
    for chunks in ([1] * 20, [7, 7, 6], [3, 1, 1, 15]):
        torch.testing.assert_close(in_chunks(module, x, chunks), found, atol=EXACT, rtol=0)


def test_query_key_norm_makes_logits_independent_of_the_scale() -> None:
    config = TransformerConfig(
        context=20, width=8, attention="D", heads=2, rows=None, attention_ratio=1.0, query_key_norm=True
    )
    module = layer(config, 0)
    with torch.no_grad():
        module.qkv.bias.zero_()
    x = torch.randn(1, 20, 8, dtype=torch.float64) * 1000
    shares = [module(scaled, Span(0, 20, 20, x.device), (), heads=slice(None))[1] for scaled in (x, 3 * x)]
    torch.testing.assert_close(*shares, atol=1e-5, rtol=0)


def test_cross_attention_sees_all_lyrics() -> None:
    config = TransformerConfig(context=12, width=6, attention="X", heads=3, rows=None, attention_ratio=1.0)
    torch.manual_seed(0)
    module = CrossAttention(config).double()
    x, lyrics = torch.randn(2, 12, 6).double(), torch.randn(2, 5, 6).double()
    found, shares = module(x, module.pairs(lyrics), heads=slice(None))
    assert shares.shape == (2, 3, 12, 5)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 3, 12).double())
    values = module.pairs(lyrics)[:, :, 1]
    by_hand = module.output(torch.einsum("bhqk,bkhd->bqhd", shares, values).flatten(2))
    torch.testing.assert_close(found, by_hand)

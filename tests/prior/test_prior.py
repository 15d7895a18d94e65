"""The prior as a whole; equality with the original is in tests/parity/prior.py."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.checkpoints.load import build_prior
from jukebox.config import PriorConfig
from jukebox.errors import ConfigError, DataError
from jukebox.prior.conditions import Conditions
from jukebox.prior.prior import Prior, PriorState
from jukebox.prior.token_stack import before
from jukebox.prior.transformer import Wanted
from tests.prior import models

# Measured: 6e-7 between a window and its steps, for logits up to 5.
STEPS = 5e-6
# Measured, relative to the largest logit: 0.0144 and 0.0026.
HALVES = {torch.bfloat16: 0.05, torch.float16: 0.01}

KINDS = pytest.mark.parametrize("config", models.ALL.values(), ids=models.ALL.keys())


def window(prior: Prior, given: Conditions, codes: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return prior(codes, given).logits


def previous(prior: Prior, given: Conditions, codes: torch.Tensor) -> torch.Tensor:
    return before(prior.layout.tokens(codes, given.lyrics))


def in_chunks(prior: Prior, given: Conditions, tokens: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Logits of a window that is read in chunks of these sizes."""
    state = prior.new_state(given, len(tokens))
    found = []
    for part in tokens.split(sizes, 1):
        output = prior.extend(part, state)
        state = output.state
        found.append(output.logits)
    return torch.cat(found, 1)


@KINDS
def test_steps_and_chunks_equal_the_window(config: PriorConfig) -> None:
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    tokens, whole = previous(prior, given, codes), window(prior, given, codes)
    length = tokens.shape[1]
    for sizes in ([length], [1] * length, [5] * (length // 5) + [length % 5]):
        torch.testing.assert_close(in_chunks(prior, given, tokens, sizes), whole, rtol=0, atol=STEPS)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(models.ALL)), st.data())
def test_any_chunks_equal_the_window(kind: str, data: st.DataObject) -> None:
    config = models.ALL[kind]
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    tokens, sizes = previous(prior, given, codes), []
    while sum(sizes) < tokens.shape[1]:
        sizes.append(data.draw(st.integers(1, tokens.shape[1] - sum(sizes))))
    found = in_chunks(prior, given, tokens, sizes)
    torch.testing.assert_close(found, window(prior, given, codes), rtol=0, atol=STEPS)


@KINDS
def test_a_shorter_window_is_the_beginning_of_the_whole(config: PriorConfig) -> None:
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    found = window(prior, given, codes[:, :11])
    torch.testing.assert_close(found, window(prior, given, codes)[:, : found.shape[1]], rtol=0, atol=STEPS)


@KINDS
def test_a_code_changes_only_what_follows(config: PriorConfig) -> None:
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    changed = codes.clone()
    changed[:, 9] = (codes[:, 9] + 1) % 10
    difference = (window(prior, given, codes) - window(prior, given, changed)).abs().amax((0, 2))
    first = prior.layout.prefix + 10
    assert not difference[:first].any()
    assert difference[first:].any()


@KINDS
def test_hidden_codes_change_nothing_after_them(config: PriorConfig) -> None:
    prior, codes, conditions = models.build(config), models.codes(), models.conditions(config)
    hidden = torch.zeros_like(codes, dtype=torch.bool)
    hidden[0, 3:7] = True
    changed = torch.where(hidden, (codes + 1) % config.codebook_size, codes)
    first, second, shown = (
        prior(given, conditions, hidden=hide).logits
        for given, hide in ((codes, hidden), (changed, hidden), (codes, None))
    )
    assert torch.equal(first, second)
    assert torch.equal(first[1], shown[1])
    begin = prior.layout.prefix + 4  # what follows the first hidden one
    assert torch.equal(first[0, :begin], shown[0, :begin])
    assert not torch.isclose(first[0, begin:], shown[0, begin:]).all(1).any()


@KINDS
def test_every_condition_and_every_parameter_matters(config: PriorConfig) -> None:
    prior, given = models.build(config), models.conditions(config, batch=8)
    prior(models.codes(batch=8), given).losses.total.backward()
    assert [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.any()] == []


@KINDS
def test_what_is_asked_for_changes_nothing_else(config: PriorConfig) -> None:
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    letters = config.transformer.attention
    wanted = Wanted(
        layers=frozenset(range(len(letters))), attention=frozenset(i for i, x in enumerate(letters) if x in "LX")
    )
    plain, asked = prior(codes, given), prior(codes, given, wanted=wanted)
    assert torch.equal(plain.logits, asked.logits)
    assert torch.equal(plain.losses.total, asked.losses.total)
    assert plain.layers == plain.lyric_attention == {}
    assert set(asked.layers) == wanted.layers
    for weights in asked.lyric_attention.values():
        assert weights.shape == (2, 2, codes.shape[1] + prior.layout.prefix, 8)
    tokens, state = previous(prior, given, codes), prior.new_state(given, 2)
    step, asked_step = prior.extend(tokens, state), prior.extend(tokens, prior.new_state(given, 2), wanted=wanted)
    assert torch.equal(step.logits, asked_step.logits)
    for layer, hidden in asked_step.layers.items():
        torch.testing.assert_close(hidden, asked.layers[layer], rtol=0, atol=STEPS)


def test_lyric_attention_is_a_share_of_one() -> None:
    for config, layer in ((models.ENCODER, 3), (models.JOINT, 3), (models.JOINT, 4)):
        prior, given = models.build(config), models.conditions(config)
        output = prior(models.codes(), given, wanted=Wanted(attention=frozenset({layer})))
        shares = output.lyric_attention[layer].sum(-1).detach()
        assert float(shares.max()) <= 1 + 1e-6
        if config is models.ENCODER:
            torch.testing.assert_close(shares, torch.ones_like(shares))
    with pytest.raises(ConfigError, match="attention of layer 0 is wanted"):
        prior(models.codes(), given, wanted=Wanted(attention=frozenset({0})))


@KINDS
def test_two_windows_at_once_and_a_broken_off_one_do_not_disturb_each_other(
    config: PriorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = models.build(config)
    parameters = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    runs = [(models.codes(seed=seed), models.conditions(config, seed=seed)) for seed in (1, 2)]
    tokens = [previous(prior, told, codes) for codes, told in runs]
    states: list[PriorState] = [prior.new_state(told, 2) for _, told in runs]
    found: list[list[torch.Tensor]] = [[], []]
    last = prior.transformer.layers[-1]
    for position in range(tokens[0].shape[1]):
        for run in (0, 1):
            part = tokens[run][:, position : position + 1]
            # A step that fails in the last layer, after all others have written; then the same step again.
            with monkeypatch.context() as patched:
                patched.setattr(last, "forward", _interrupt)
                with pytest.raises(KeyboardInterrupt):
                    prior.extend(part, states[run])
            output = prior.extend(part, states[run])
            states[run] = output.state
            found[run].append(output.logits)
        if position == 3:  # left behind in the middle
            prior.extend(tokens[0][:, :4], prior.new_state(runs[0][1], 2))
    for (codes, told), logits in zip(runs, found, strict=True):
        torch.testing.assert_close(torch.cat(logits, 1), window(prior, told, codes), rtol=0, atol=STEPS)
    assert all(torch.equal(tensor, parameters[name]) for name, tensor in prior.state_dict().items())
    assert not [name for name, _ in prior.named_buffers()]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@KINDS
def test_windows_at_different_positions_are_written_together(config: PriorConfig) -> None:
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    tokens, whole = previous(prior, given, codes), window(prior, given, codes)
    state = prior.new_state(given, 2)
    behind = prior.layout.prefix + 3
    # The first window is read up to `behind`, in its own slot of the caches; the second begins there and then.
    first = dataclasses.replace(
        state,
        conditioning=prior.condition(_item(given, 0), 1),
        transformer=state.transformer.items(0, 1),
    )
    prior.extend(tokens[:1, :behind], first)
    state = dataclasses.replace(state, transformer=state.transformer.at([behind, 0]))
    for step in range(codes.shape[1] - 3):
        part = torch.stack([tokens[0, behind + step], tokens[1, step]])[:, None]
        output = prior.extend(part, state)
        state = output.state
        torch.testing.assert_close(output.logits[0, 0], whole[0, behind + step], rtol=0, atol=STEPS)
        torch.testing.assert_close(output.logits[1, 0], whole[1, step], rtol=0, atol=STEPS)


def _item(given: Conditions, index: int) -> Conditions:
    def one(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else value[index : index + 1]

    labels = given.labels
    if labels is not None:
        values = {field.name: getattr(labels, field.name)[index : index + 1] for field in dataclasses.fields(labels)}
        labels = dataclasses.replace(labels, **values)
    return Conditions(labels=labels, lyrics=one(given.lyrics), codes_above=one(given.codes_above))


@KINDS
@pytest.mark.parametrize("dtype", HALVES, ids=["bf16", "fp16"])
def test_half_precision_is_near(config: PriorConfig, dtype: torch.dtype) -> None:
    """In a window, in steps, and in the gradients' being finite."""
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    half = build_prior(config, prior.state_dict(), dtype)
    exact, output = window(prior, given, codes), half(codes, given)
    assert output.logits.dtype == torch.float32
    assert output.losses.total.dtype == torch.float32
    output.losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in half.parameters())
    scale = float(exact.abs().max())
    for found in (output.logits.detach(), in_chunks(half, given, previous(half, given, codes), [1] * exact.shape[1])):
        torch.testing.assert_close(found.float() / scale, exact / scale, rtol=0, atol=HALVES[dtype])


@KINDS
def test_recomputing_changes_neither_losses_nor_gradients(config: PriorConfig) -> None:
    results = []
    for recompute in (False, True):
        prior = models.build(config)
        loss = prior(models.codes(), models.conditions(config), recompute=recompute).losses.total
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in prior.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_losses_are_in_bits_and_weighted() -> None:
    for config in (models.JOINT, models.ENCODER):
        prior, codes, given = models.build(config), models.codes(), models.conditions(config)
        with torch.no_grad():
            output = prior(codes, given)
        prefix = prior.layout.prefix
        probabilities = output.logits[:, prefix:].softmax(-1)
        of_codes = probabilities.gather(2, (codes + prior.layout.shift)[..., None])
        torch.testing.assert_close(output.losses.music, -of_codes.log2().mean())
        total = (0.4 * 8 * output.losses.lyrics + 16 * output.losses.music) / 24
        torch.testing.assert_close(output.losses.total, total)
    music_only = models.build(models.UNLABELLED)(models.codes(), Conditions()).losses
    assert music_only.total == music_only.music
    assert music_only.lyrics == 0


def test_the_prefix_gets_no_conditioning() -> None:
    prior = models.build(models.JOINT)
    added = prior.condition(models.conditions(models.JOINT), 2).added
    assert added is not None
    assert added.shape == (2, 24, 8)
    assert not added[:, :8].any()
    assert added[:, 8:].any(-1).all()


def test_new_options_pass_through() -> None:
    """Rotary positions take the place of the table; queries and keys are normalised. Steps equal the window."""
    transformer = dataclasses.replace(models.JOINT.transformer, position="rotary", query_key_norm=True)
    config = dataclasses.replace(models.JOINT, transformer=transformer)
    prior, codes, given = models.build(config), models.codes(), models.conditions(config)
    names = set(prior.state_dict())
    assert "position_embedding.weight" not in names
    assert "transformer.layers.0.attention.query_norm.weight" in names
    tokens, whole = previous(prior, given, codes), window(prior, given, codes)
    torch.testing.assert_close(in_chunks(prior, given, tokens, [1] * 24), whole, rtol=0, atol=STEPS)
    assert not torch.allclose(whole, window(models.build(models.JOINT), given, codes))


@pytest.mark.parametrize(
    ("config", "change", "sentence"),
    [
        (models.JOINT, {"labels": None}, "hold no labels; this prior is conditioned on labels"),
        (models.ENCODER, {"lyrics": None}, "hold no lyrics; this prior is conditioned on lyrics"),
        (models.UPSAMPLER, {"codes_above": None}, "hold no codes_above"),
        (models.UNLABELLED, {"codes_above": torch.zeros(2, 4, dtype=torch.int64)}, "is not conditioned on codes_above"),
        (models.ENCODER, {"lyrics": torch.zeros(2, 5, dtype=torch.int64)}, "5 lyrics in each window; expected 8"),
        (models.UPSAMPLER, {"codes_above": torch.zeros(2, 5, dtype=torch.int64)}, "5 codes_above .* expected 4"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(config: PriorConfig, change: dict, sentence: str) -> None:
    given = dataclasses.replace(models.conditions(config), **change)
    with pytest.raises(DataError, match=sentence):
        models.build(config)(models.codes(), given)

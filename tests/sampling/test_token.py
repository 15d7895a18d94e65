import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import ConfigError
from jukebox.sampling.token import Choice, SamplingConfig, filter_logits

SEEDS = st.integers(0, 2**31)


def random_logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 2, 17, generator=torch.Generator().manual_seed(seed)) * 3


@given(SEEDS, st.integers(1, 20))
def test_top_k_keeps_the_k_largest(seed: int, k: int) -> None:
    logits = random_logits(seed)
    filtered = filter_logits(logits, top_k=k)
    kept = filtered > -torch.inf
    assert (kept.sum(dim=-1) == min(k, 17)).all()
    assert torch.equal(filtered[kept], logits[kept])
    assert (logits.masked_fill(kept, -torch.inf).amax(-1) <= logits.masked_fill(~kept, torch.inf).amin(-1)).all()


@given(SEEDS, st.floats(0.01, 1.0))
def test_top_p_keeps_the_smallest_set_that_exceeds_p(seed: int, p: float) -> None:
    logits = random_logits(seed)
    filtered = filter_logits(logits, top_p=p)
    kept = filtered > -torch.inf
    probabilities = logits.softmax(dim=-1)
    mass = (probabilities * kept).sum(dim=-1)
    least = probabilities.masked_fill(~kept, torch.inf).amin(dim=-1)
    assert torch.equal(filtered[kept], logits[kept])
    assert (mass >= p - 1e-5).all()
    assert (mass - least <= p + 1e-5).all()
    assert (logits.masked_fill(kept, -torch.inf).amax(-1) <= logits.masked_fill(~kept, torch.inf).amin(-1)).all()


def test_ties_with_the_kth_are_kept() -> None:
    assert filter_logits(torch.tensor([1.0, 3.0, 1.0, 0.0]), top_k=2).tolist() == [1.0, 3.0, 1.0, -torch.inf]


def test_both_filters_one_after_the_other() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    expected = filter_logits(filter_logits(logits, top_k=3), top_p=0.8)
    assert torch.equal(filter_logits(logits, top_k=3, top_p=0.8), expected)


def test_input_is_not_changed_and_dtype_stays() -> None:
    logits = random_logits(0).bfloat16()
    before = logits.clone()
    assert filter_logits(logits, top_k=2, top_p=0.5).dtype == torch.bfloat16
    assert torch.equal(logits, before)
    assert torch.equal(filter_logits(logits), before)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="top_k is 0; expected a number of tokens, 1 or more"):
        SamplingConfig(top_k=0)
    with pytest.raises(ConfigError, match=r"temperature is -1\.0; expected a number, 0 or more"):
        SamplingConfig(temperature=-1.0)
    for p in (0.0, 1.1):
        with pytest.raises(ConfigError, match=f"top_p is {p}; expected a probability above 0, up to 1"):
            SamplingConfig(top_p=p)


SETTINGS = (
    SamplingConfig(),
    SamplingConfig(temperature=0.7, top_k=3),
    SamplingConfig(temperature=1.3, top_p=0.6),
    SamplingConfig(temperature=0.0),
    SamplingConfig(top_k=5, top_p=0.8),
)


@given(SEEDS)
def test_slots_with_settings_of_their_own_are_each_alone(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(SETTINGS), 17, generator=generator) * 3
    noise = torch.randn(len(SETTINGS), 17, generator=generator)
    together = Choice.of(SETTINGS, 17, logits.device).draw(logits, noise)
    for index, settings in enumerate(SETTINGS):
        alone = Choice.of([settings], 17, logits.device).draw(logits[index : index + 1], noise[index : index + 1])
        assert alone == together[index]
        if settings.temperature == 0:
            assert alone == logits[index].argmax()
        else:
            kept = filter_logits(logits[index] / settings.temperature, top_k=settings.top_k, top_p=settings.top_p)
            assert alone == (kept + noise[index]).argmax()

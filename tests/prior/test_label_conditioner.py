"""Start vectors and timing; equality with the original is in tests/parity/prior.py."""

import dataclasses
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.config import LabelConfig
from jukebox.errors import LabelError
from jukebox.labels.labels import LabelTokens, NameShare
from jukebox.labels.timing import SongSpan
from jukebox.prior.label_conditioner import LabelConditioner, label_tensors, shares

BINS = 8
CONFIG = LabelConfig(
    artists=7, genres=5, genre_slots=3, timing_bins=BINS, min_duration_s=1.0, max_duration_s=10.0, sample_rate=1000
)


def tokens(*, artist: int = 1, genres: tuple[int, ...] = (2, -1, -1), total=4000, offset=0, length=1000) -> LabelTokens:
    span = SongSpan(total_length_samples=total, offset_samples=offset, window_length_samples=length)
    return LabelTokens(span=span, artist_id=artist, genre_ids=genres, lyric_tokens=())


def conditioner(config: LabelConfig = CONFIG) -> LabelConditioner:
    """A conditioner whose timing vectors say which bin was chosen: units, tens and hundreds (to 8)."""
    torch.manual_seed(0)
    module = LabelConditioner(config, 4)
    if config.timing_bins is not None:
        tables = (module.total_length, module.absolute_position, module.relative_position)
        for factor, table in zip((1, 10, 100), tables, strict=True):
            table.weight.data = factor * torch.arange(float(BINS))[:, None].expand(BINS, 4).clone()
    return module


def bins(label: LabelTokens, positions: int) -> list[tuple[int, int, int]]:
    """Bins of total length, absolute and relative position at each position."""
    values = conditioner().timing(label_tensors([label], CONFIG), positions)[0, :, 0].int().tolist()
    return [(value % 10, value // 10 % 10, value // 100) for value in values]


def test_the_start_is_the_artist_and_the_sum_of_the_genres() -> None:
    module = conditioner()
    labels = label_tensors([tokens(artist=3, genres=(0, 4, 4)), tokens(artist=5, genres=(-1, -1, -1))], CONFIG)
    artist, genre = module.artist.weight, module.genre.weight
    expected = torch.stack([artist[3] + genre[0] + 2 * genre[4], artist[5]])
    torch.testing.assert_close(module.start(labels), expected)


def test_a_blend_is_the_sum_of_its_shares() -> None:
    module = conditioner()
    one, two, three = tokens(artist=3), tokens(artist=4, genres=(0, 1, -1)), tokens(artist=0, genres=(-1, -1, -1))
    starts = [module.start(label_tensors([each], CONFIG))[0] for each in (one, two, three)]

    def mixed(*weights: float) -> LabelTokens:
        shared = [
            NameShare(weight=weight, artist_id=each.artist_id, genre_ids=each.genre_ids)
            for weight, each in zip(weights, (two, three), strict=False)
        ]
        return dataclasses.replace(one, blend=tuple(shared))

    batch = [mixed(0.25, 0.5), mixed(0.25), one, mixed(1.0)]
    found = module.start(label_tensors(batch, CONFIG), shares(batch, CONFIG))
    expected = [0.25 * starts[0] + 0.25 * starts[1] + 0.5 * starts[2], 0.75 * starts[0] + 0.25 * starts[1]]
    torch.testing.assert_close(found, torch.stack([*expected, starts[0], starts[1]]))
    assert torch.equal(found[2], starts[0])  # in company of blends, too
    assert shares([one, two], CONFIG) == ()
    with pytest.raises(LabelError, match="artist number is 7"):
        shares([dataclasses.replace(one, blend=(NameShare(weight=1.0, artist_id=7, genre_ids=(0, 0, 0)),))], CONFIG)


def test_an_empty_slot_adds_nothing_and_learns_nothing() -> None:
    module = conditioner()
    module.start(label_tensors([tokens(genres=(2, -1, -1))], CONFIG)).sum().backward()
    assert module.genre.weight.grad is not None
    assert module.genre.weight.grad.any(1).tolist() == [False, False, True, False, False]


def test_timing_at_the_borders() -> None:
    # Total 1 s is the first bin of [1, 10), absolute position 0 to 1 s the first of ten, relative 0 to 1 all eight.
    assert bins(tokens(total=1000, length=1000), 8) == [(0, 0, share) for share in range(8)]
    # A window that ends the longest song, and one that runs past the end: the share stops at the last bin.
    assert bins(tokens(total=9999, offset=8999, length=1000), 2) == [(7, 7, 7), (7, 7, 7)]
    assert bins(tokens(total=2000, offset=1000, length=8000), 2) == [(0, 0, 4), (0, 4, 6)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1000, 9999), st.data())
def test_a_bin_is_the_floor_of_the_exact_share(total: int, data: st.DataObject) -> None:
    """Away from the borders, where float32 may round either way, bins are those of exact arithmetic."""
    offset, length = data.draw(st.integers(0, total - 1)), data.draw(st.integers(1, 5000))
    positions = 7
    relative_end = min(Fraction(offset + length, total), Fraction(1))
    for index, found in enumerate(bins(tokens(total=total, offset=offset, length=length), positions)):
        share = Fraction(index, positions)
        exact = (
            BINS * Fraction(total - 1000, 9000),
            BINS * (offset + length * share) / 10000,
            BINS * (Fraction(offset, total) + (relative_end - Fraction(offset, total)) * share),
        )
        for bin_, value in zip(found, exact, strict=True):
            # A value within 1e-4 of a border counts as on it; beyond the range the last bin is meant.
            near = (value - Fraction(1, 10**4), value + Fraction(1, 10**4))
            low, high = (max(0, min(BINS - 1, int(border))) for border in near)
            assert low <= bin_ <= high


def test_an_item_without_timing_gets_zeros() -> None:
    labels = label_tensors([tokens(), tokens(total=5000)], CONFIG)
    untimed = dataclasses.replace(labels, total_length_samples=torch.tensor([0, 5000]))
    module = conditioner()
    timing = module.timing(untimed, 3)
    assert not timing[0].any()
    assert torch.equal(timing[1], module.timing(labels, 3)[1])
    assert torch.isfinite(timing).all()


def test_without_bins_there_are_no_tables() -> None:
    module = LabelConditioner(LabelConfig(artists=7, genres=5, genre_slots=3), 4)
    assert [name for name, _ in module.named_parameters()] == ["artist.weight", "genre.weight"]


@pytest.mark.parametrize("timed", [True, False])
def test_labels_everywhere_are_the_start_vector_beside_the_timing(timed: bool) -> None:
    bins = {} if timed else {"timing_bins": None, "min_duration_s": None, "max_duration_s": None}
    labels = label_tensors([tokens(), tokens(total=5000)], CONFIG)
    here, everywhere = (
        LabelConditioner(dataclasses.replace(CONFIG, everywhere=where, **bins), 4) for where in (False, True)
    )
    everywhere.load_state_dict(here.state_dict())
    start = here.start(labels)
    assert (here.adds, everywhere.adds) == (timed, True)
    timing = here.timing(labels, 3) if timed else torch.zeros(2, 3, 4)
    assert torch.equal(everywhere.added(labels, start, 3), timing + start[:, None])
    if timed:
        assert torch.equal(here.added(labels, start, 3), timing)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (tokens(artist=7), "artist number is 7; this model has 0 to 6"),
        (tokens(genres=(5, -1, -1)), "genre number is 5; this model has 0 to 4"),
        (tokens(genres=(1,)), "1 genre numbers; this model takes 3"),
        (tokens(total=999), r"is 0\.999 seconds long in all; this model knows songs of 1\.0 to"),
        (tokens(total=10000), "less than 10.0 seconds"),
    ],
)
def test_labels_outside_the_tables_are_refused(label: LabelTokens, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence):
        label_tensors([label], CONFIG)

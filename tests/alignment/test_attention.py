"""A song's lyrics are aligned by its model, the same every time, and written into its folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox import presets
from jukebox.alignment.attention import align
from jukebox.alignment.window import hear
from jukebox.errors import ConfigError
from jukebox.labels.labels import Labels, SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.pipeline import load
from jukebox.prior.initialise import new_prior
from jukebox.sampling.request import SongRequest
from tests.sampling import models


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(presets, "TINY_PRIORS", models.SHORT)
    return iter(())


def song(lyrics: int) -> SongTokens:
    return SongTokens(artist_id=0, genre_ids=(0,), lyric_tokens=(3,) * lyrics, lyric_window=32)


def span(start: int) -> SongSpan:
    return SongSpan(total_length_samples=44100 * 60, offset_samples=start * 128, window_length_samples=1024)


def test_without_lyrics_there_is_nothing_to_align() -> None:
    prior = new_prior(models.SHORT[2], torch.Generator().manual_seed(0)).eval()
    assert align(prior, torch.arange(20), song(0), span, (0, 4)).shape == (20, 0)


def test_a_prior_without_an_alignment_head_is_refused() -> None:
    prior = new_prior(models.SHORT[1], torch.Generator().manual_seed(0)).eval()
    with pytest.raises(ConfigError, match="no alignment head"):
        align(prior, torch.arange(20), song(0), span, (0, 4))


def test_windows_that_follow_show_what_the_one_before_has_come_to() -> None:
    """By hand, of a text that is longer than a window; a text that fits is read as ever."""
    prior = new_prior(models.SHORT[2], torch.Generator().manual_seed(0)).eval()
    codes, starts = torch.arange(20), (0, 4, 8, 12)
    tokens = replace(song(0), lyric_tokens=tuple(index % 70 + 1 for index in range(400)))
    found = align(prior, codes, tokens, span, starts, follow=True)
    told, expected = tokens, np.zeros_like(found)
    for start, after in zip(starts, (4, 8, 12, 0), strict=True):
        heard = hear(prior, codes[start : start + 8], told, span(start))
        for code, row in enumerate(heard.weights, start):
            new = heard.shown[(expected[code, heard.shown] == 0) & (row > 0)]
            expected[code, new] = row[new - heard.shown[0]]
        told = tokens.around(heard.middle_of(span(after))) if after else told
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, align(prior, codes, tokens, span, starts))
    few = song(32)
    assert np.array_equal(align(prior, codes, few, span, starts, follow=True), align(prior, codes, few, span, starts))


def test_a_session_has_its_lyrics_and_they_are_made_again(tmp_path: Path) -> None:
    labels = (Labels(lyrics="la la la\nlu lu"), Labels())
    request = SongRequest(model="tiny-random", songs=labels, seconds=0.1, lowest_level=2)
    jukebox, folder = load("tiny-random", "cpu"), tmp_path / "song"
    list(jukebox.write_session(folder, request))
    names = {path.name for path in folder.glob("lyrics*")}
    assert names == {"lyrics_1.lrc", "lyrics_1.json"}
    before = {name: (folder / name).read_bytes() for name in names}
    (folder / "lyrics_1.lrc").unlink()
    list(jukebox.write_session(folder, request))
    assert {name: (folder / name).read_bytes() for name in names} == before

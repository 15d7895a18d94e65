"""The comments of an Ogg file are replaced and nothing else: the pages stay valid and the sound the same."""

from pathlib import Path

import pytest

from jukebox.audio.headers import ogg_is_complete
from jukebox.audio.io import Tags, read, read_tags
from jukebox.audio.ogg import replace_comments
from tests.audio.sounds import chord, save


def with_comments(path: Path, fields: dict[str, str]) -> Path:
    copy = path.with_stem(path.stem + "+")
    replace_comments(path, copy, fields)
    return copy


@pytest.mark.parametrize("characters", [0, 1, 254, 255, 256, 61_000, 65_025, 200_000])
def test_the_sound_stays_whatever_the_length_of_the_comments(tmp_path: Path, characters: int) -> None:
    path = save(tmp_path / "a.ogg", chord(2, 30_000))
    copy = with_comments(path, {"LYRICS": "x" * characters})
    assert ogg_is_complete(copy)
    assert read_tags(copy) == Tags(lyrics="x" * characters or None)
    assert (read(copy) - read(path)).abs().max() < 1e-5  # a longer file is read by the other decoder


def test_the_last_replacement_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ogg", chord(1, 5_000))
    once = with_comments(path, {"TITLE": "One"})
    twice = with_comments(with_comments(path.rename(tmp_path / "b.ogg"), {"LYRICS": "y" * 100_000}), {"TITLE": "One"})
    assert once.read_bytes() == twice.read_bytes()

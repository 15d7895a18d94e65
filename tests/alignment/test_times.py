"""Planted answers: attention made by hand gives the times it was made from."""

import json
import re

import numpy as np
import pytest

from jukebox.alignment.path import monotonic_path
from jukebox.alignment.times import sung_lyrics


def planted(path: list[int], characters: int, noise: float = 0.0) -> np.ndarray:
    weights = np.random.default_rng(0).uniform(0, noise, (len(path), characters)).astype(np.float32)
    weights[np.arange(len(path)), path] += 0.5
    return weights


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_planted_path_is_found(noise: float) -> None:
    path = [1, 1, 2, 2, 2, 5, 6, 6, 7, 11, 11]
    assert monotonic_path(planted(path, 13, noise)).tolist() == path


def test_a_wrong_turn_is_not_followed() -> None:
    path = [0, 1, 2, 3, 4, 5]
    weights = planted(path, 9)
    weights[2] = 0.0
    weights[2, 8] = 0.9
    assert [p for i, p in enumerate(monotonic_path(weights)) if i != 2] == [0, 1, 3, 4, 5]


def test_the_path_is_the_best_of_all() -> None:
    """Against every monotonic path of a small matrix."""
    import itertools

    weights = np.random.default_rng(3).uniform(0.01, 1, (6, 5)).astype(np.float32)
    logs = np.log(weights.astype(np.float64))
    every = itertools.combinations_with_replacement(range(5), 6)
    best = max(every, key=lambda path: logs[np.arange(6), list(path)].sum())
    assert monotonic_path(weights).tolist() == list(best)


def test_planted_times_of_characters_words_and_lines() -> None:
    lyrics = "ab cd\ne"
    found = sung_lyrics(lyrics, planted([0, 0, 1, 2, 3, 3, 4, 5, 6, 6], 7), 10.0)
    assert [c.start_s for c in found.characters] == pytest.approx([0.0, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8])
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [("ab", 0, 0.3), ("cd", 0.4, 0.7), ("e", 0.8, 1.0)]
    assert [(line.text, line.start_s, line.end_s) for line in found.lines] == [("ab cd", 0, 0.7), ("e", 0.8, 1.0)]
    assert found.to_lrc() == ("[00:00.00]<00:00.00>ab <00:00.40>cd <00:00.70>\n[00:00.80]<00:00.80>e <00:01.00>\n")
    assert json.loads(found.to_json())["lines"][1]["words"] == [{"text": "e", "start_s": 0.8, "end_s": 1.0}]


def test_words_that_are_sung_in_part_are_whole_words() -> None:
    found = sung_lyrics("one two\nthree four\nfive", planted([5, 6, 6, 9, 10, 15], 23), 10.0)
    assert "".join(character.text for character in found.characters) == "wo\nthree fo"
    assert [line.text for line in found.lines] == ["two", "three four"]
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("two", 0.0, 0.3), ("three", 0.3, 0.5), ("four", 0.5, 0.6)
    ]  # fmt: skip


def test_times_ascend_within_the_song_whatever_the_attention() -> None:
    weights = np.random.default_rng(1).uniform(0, 1, (200, 40)).astype(np.float32)
    found = sung_lyrics("some words\nof a song " * 2, weights[:, :40], 50.0)
    moments = [moment for c in found.characters for moment in (c.start_s, c.end_s)]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] <= 4.0
    clocks = re.findall(r"(\d+):(\d\d\.\d\d)", found.to_lrc())
    assert (found_s := [60 * int(m) + float(s) for m, s in clocks]) == sorted(found_s)


def test_an_instrumental_song_has_no_times() -> None:
    found = sung_lyrics("", np.zeros((9, 0), np.float32), 10.0)
    assert (found.characters, found.lines, found.to_lrc()) == ((), (), "")

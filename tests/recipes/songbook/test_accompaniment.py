"""Accompaniments: harmonies for a lone melody, figures inside the song, levels of the mix, and what is drawn."""

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from recipes.songbook.band.arrangement import draw
from recipes.songbook.band.figures import FIGURES
from recipes.songbook.band.harmony import chord_classes, harmonies
from recipes.songbook.band.performance import perform
from recipes.songbook.scores.model import Score
from recipes.songbook.voice.voices import VOICES
from tests.recipes.songbook.test_scores import HEAD, abc

MELODIES = {
    "major": (HEAD, "B G A F | G2 D2 | e c d B | c A G2 |", 7),
    "minor": (HEAD.replace("K:G", "K:Em"), "E F G B | e2 B2 | A c B G | F ^D E2 |", 4),
}
"""Header, melody, and the tonic's pitch class."""


def lone(name: str) -> tuple[Score, int]:
    head, melody, tonic = MELODIES[name]
    words = " ".join("la" for sign in melody if sign.isalpha())
    return abc(f"{melody}\nw: {words}\n", head), tonic


@pytest.mark.parametrize("name", MELODIES)
def test_a_lone_melody_gets_chords_that_hold_its_notes_and_end_at_home(name: str) -> None:
    score, tonic = lone(name)
    found = harmonies(score)
    assert found[0].start == 0
    assert all(b.start == a.end for a, b in itertools.pairwise(found))
    assert found[-1].end == score.length
    assert found[-1].pitches[0] % 12 == tonic
    held = sum(
        any(h.start <= n.start < h.end and n.pitch % 12 in {p % 12 for p in h.pitches} for h in found)
        for n in score.melody
    )
    assert held >= 0.6 * len(score.melody)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("parts", [True, False])
def test_figures_stay_inside_the_song(figure: str, parts: bool) -> None:
    score, _ = lone("major")
    score = replace(score, parts=(score.melody,)) if parts else score
    strokes = FIGURES[figure](score)
    assert strokes
    assert all(0 <= s.start < score.length and s.duration > 0 for s in strokes)
    assert all(20 < s.pitch < 100 for s in strokes)


@pytest.mark.parametrize(
    ("symbol", "classes"), [("C", {0, 4, 7}), ("F#m", {6, 9, 1}), ("Bb7", {10, 2, 5, 8}), ("D/F#", {6, 2, 9})]
)
def test_chord_symbols(symbol: str, classes: set[int]) -> None:
    found = chord_classes(symbol)
    assert found is not None
    assert set(found) == classes


def test_a_third_is_sparse_and_all_voices_and_keys_occur() -> None:
    score, _ = lone("major")
    drawn = [draw(score, take, 1) for take in range(400)]
    assert drawn == [draw(score, take, 1) for take in range(400)]
    alone = sum(a.timbre is None for a in drawn) / len(drawn)
    sparse = sum(a.figure in ("drone", "bass") for a in drawn) / len(drawn)
    assert 0.1 < alone < 0.23
    assert 0.1 < sparse < 0.23
    assert set(Counter(a.voice for a in drawn)) == set(VOICES)
    assert len({a.timbre for a in drawn if a.timbre}) >= 10
    assert len({a.key_shift for a in drawn}) >= 4


def test_the_voice_is_sung_in_its_range_and_the_key_of_the_instruments() -> None:
    score, _ = lone("major")
    for take in range(20):
        arrangement = draw(score, take, 2)
        voice = VOICES[arrangement.voice]
        pitches = [n.pitch + arrangement.voice_shift for n in score.melody]
        assert voice.lowest <= min(pitches)
        assert max(pitches) <= voice.highest
        assert (arrangement.voice_shift - arrangement.key_shift) % 12 == 0
        performance = perform(score, arrangement)
        assert all(0 <= n.start_s < n.end_s for n in performance.instrument)
        assert performance.verses[-1][-1].end_s < performance.length_s


def test_the_mix_is_the_sum_and_keeps_its_levels() -> None:
    pytest.importorskip("pyloudnorm")
    from recipes.songbook.band.mix import LOUDNESS_LUFS, PEAK, mix, room

    rng = np.random.default_rng(0)
    times = np.arange(3 * 44100) / 44100
    voice = np.sin(2 * np.pi * 440 * times) * (times % 1 < 0.7)
    band = 0.01 * rng.standard_normal(len(times))
    mixed = mix(voice, band, 4.0, room(0.8, 0.05, rng))
    assert mixed.accompaniment is not None
    np.testing.assert_allclose(mixed.mix, mixed.stem + mixed.accompaniment, atol=1e-12)
    assert np.abs(mixed.mix).max() <= PEAK + 1e-9
    assert mixed.loudness_lufs <= LOUDNESS_LUFS + 0.01


def test_length_of_a_fermata_is_stretched_only_where_it_stands() -> None:
    from recipes.songbook.band.tempo import FERMATA_STRETCH, TempoMap

    tempo = TempoMap(((Fraction(0), 60.0),), 1.0, ((Fraction(1), Fraction(2)),))
    assert [tempo.seconds(Fraction(i)) for i in range(4)] == pytest.approx(
        [0, 1, 1 + FERMATA_STRETCH, 2 + FERMATA_STRETCH]
    )

"""Scores: what is read from small ones written for the purpose, and the sentence for those that cannot be sung."""

from fractions import Fraction
from pathlib import Path

import pytest

from recipes.songbook.__main__ import main
from recipes.songbook.scores.abc import read_abc
from recipes.songbook.scores.assemble import assemble
from recipes.songbook.scores.library import read
from recipes.songbook.scores.model import Score, ScoreError

HEAD = "X:1\nT:Test\nM:4/4\nL:1/4\nQ:1/4=120\nK:G\n"


def abc(body: str, head: str = HEAD) -> Score:
    (raw,) = read_abc(head + body)
    if isinstance(raw, ScoreError):
        raise raw
    return assemble(raw, "test")


def pitches(score: Score) -> list[int]:
    return [note.pitch for note in score.melody]


def test_key_and_accidentals_hold_to_the_bar_and_over_a_tie() -> None:
    assert pitches(abc("F =F F c | F ^G- G2 |\nw: a b c d e f *\n")) == [66, 65, 65, 72, 66, 68]
    assert pitches(abc("^C4- | C2 C2 |\nw: a * b\n")) == [61, 60]


def test_a_verse_has_a_syllable_for_each_note_and_melismas() -> None:
    score = abc("G A (B c) | d4 |\nw: 1.~A- bide with _ me.\n")
    (verse,) = score.verses
    assert verse.text() == "Abide with me."
    assert [len(s.notes) for s in verse.syllables] == [1, 1, 2, 1]


def test_one_line_under_many_verses_is_a_refrain() -> None:
    score = abc("G A B c |\nw: one two three four\nw: five six seven eight\nd c B A |\nw: all of us sing\n")
    assert [v.text() for v in score.verses] == [
        "one two three four all of us sing",
        "five six seven eight all of us sing",
    ]


def test_repeats_take_their_lines_in_turn_and_endings_their_pass() -> None:
    score = abc("|: G A |1 B c :|2 d e |]\nw: a b c d e f\nw: g h i j k l\n")
    assert pitches(score) == [67, 69, 71, 72, 67, 69, 74, 76]
    assert score.verses[0].text() == "a b c d g h k l"


def test_tuplets_and_broken_rhythm_keep_the_time() -> None:
    score = abc("(3G/A/B/ c>d e2 |\nw: a b c d e f\n")
    assert [n.duration for n in score.melody][:5] == [Fraction(1, 3)] * 3 + [Fraction(3, 2), Fraction(1, 2)]


def test_words_belong_to_the_line_of_music_before_them() -> None:
    score = abc("V:1\nG A |\nw: one two\nV:2\nD E |\nV:1\nB c |\nw: three four\nV:2\nG, G, |\n")
    assert score.verses[0].text() == "one two three four"
    assert [[n.pitch for n in part] for part in score.parts] == [[62, 64, 55, 55]]


def test_without_a_tempo_the_usual_one_and_with_one_its_unit() -> None:
    body = "G A B c |\nw: a b c d\n"
    assert abc(body, HEAD.replace("Q:1/4=120\n", "")).tempos == ((Fraction(0), 100.0),)
    assert abc(body, HEAD.replace("Q:1/4=120", "Q:1/2=50")).tempos == ((Fraction(0), 100.0),)


def test_older_files_are_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "old.abc"
    path.write_bytes((HEAD + "G A B c |\nw: bless- èd be he\n").encode("latin-1"))
    (reading,) = read(path)
    assert reading.score is not None
    assert reading.score.verses[0].text() == "blessèd be he"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("G A B c |\n", "no words"),
        ("G A B c |\nw: one two three\n", "3 syllables and holds stand under 4 notes"),
        ("G A & B c |\nw: a b c d\n", "give each a V:"),
        ("G A § c |\nw: a b c d\n", "sign '§' is not known"),
        ("G A B c |\nw: а б в г\n", "Latin letters"),
        ("G A B c |\nw: go 2 3 4\n", "the digit"),
        ("V:1\nG A B c |\nw: a b c d\nV:2\nG A B |\n", "different lengths"),
    ],
)
def test_what_cannot_be_sung_is_said_in_a_sentence(body: str, part: str) -> None:
    with pytest.raises(ScoreError, match=part):
        abc(body)


def test_files_of_no_known_kind_and_damaged_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "song.mxl"
    damaged.write_bytes(b"not a zip")
    (reading,) = read(damaged)
    assert reading.reason is not None
    assert "damaged" in reading.reason
    assert main(["inspect", str(tmp_path / "missing")]) == 2
    assert "does not exist" in capsys.readouterr().err

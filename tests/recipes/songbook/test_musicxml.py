"""MusicXML: small scores written for the purpose."""

from fractions import Fraction
from pathlib import Path

import pytest

from recipes.songbook.scores.assemble import _mended, assemble
from recipes.songbook.scores.model import Score, ScoreError
from recipes.songbook.scores.musicxml import read_musicxml

ATTRIBUTES = (
    "<attributes><divisions>2</divisions><key><fifths>0</fifths></key>"
    "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)


def note(
    step: str, halves: int, text: str = "", syllabic: str = "single", voice: int = 1, tie: str = "", more: str = ""
) -> str:
    """A note in octave 4, of so many eighths."""
    lyric = f"<lyric><syllabic>{syllabic}</syllabic><text>{text}</text></lyric>" if text else ""
    ties = "".join(f'<tie type="{kind}"/>' for kind in tie.split())
    return (
        f"<note>{more}<pitch><step>{step}</step><octave>4</octave></pitch><duration>{halves}</duration>{ties}"
        f"<voice>{voice}</voice>{lyric}</note>"
    )


def score(tmp_path: Path, *measures: str) -> Score:
    inside = "".join(
        f'<measure number="{i}">{ATTRIBUTES if i == 1 else ""}{m}</measure>' for i, m in enumerate(measures, 1)
    )
    path = tmp_path / "song.musicxml"
    path.write_text(
        '<score-partwise><part-list><score-part id="P1"><part-name>Voice</part-name></score-part></part-list>'
        f'<part id="P1">{inside}</part></score-partwise>'
    )
    return assemble(read_musicxml(path), "test")


def starts(found: Score) -> list[tuple[Fraction, int]]:
    return [(n.start, n.pitch) for n in found.melody]


def test_syllables_make_words_and_notes_without_one_are_melismas(tmp_path: Path) -> None:
    found = score(
        tmp_path, note("C", 2, "A", "begin") + note("D", 2, "bide", "end") + note("E", 2) + note("F", 2, "with")
    )
    (verse,) = found.verses
    assert verse.text() == "Abide with"
    assert [len(s.notes) for s in verse.syllables] == [1, 2, 1]


def test_a_cue_note_takes_its_time_and_is_not_sung(tmp_path: Path) -> None:
    found = score(tmp_path, note("C", 2, "one") + note("G", 4, more="<cue/>") + note("E", 2, "two"))
    assert starts(found) == [(Fraction(0), 60), (Fraction(3), 64)]


def test_a_cue_note_with_a_word_is_sung(tmp_path: Path) -> None:
    found = score(tmp_path, note("C", 2, "one") + note("G", 4, "two", more="<cue/>") + note("E", 2, "three"))
    assert found.verses[0].text() == "one two three"


def test_a_grace_note_takes_no_time(tmp_path: Path) -> None:
    grace = "<note><grace/><pitch><step>B</step><octave>4</octave></pitch><voice>1</voice></note>"
    found = score(tmp_path, note("C", 4, "one") + grace + note("E", 4, "two"))
    assert starts(found) == [(Fraction(0), 60), (Fraction(2), 64)]


def test_a_tie_goes_on_in_another_voice(tmp_path: Path) -> None:
    back = "<backup><duration>8</duration></backup>"
    first = note("C", 8, "one") + back + note("E", 8, voice=2, tie="start")
    second = note("D", 8, "two") + back + note("E", 8, voice=3, tie="stop")
    found = score(tmp_path, first, second)
    held = [n for part in found.parts for n in part if n.pitch == 64]
    assert [(n.start, n.duration) for n in held] == [(Fraction(0), Fraction(8))]


def test_the_lower_notes_of_a_sung_chord_accompany(tmp_path: Path) -> None:
    found = score(tmp_path, note("G", 8, "one") + note("E", 8, more="<chord/>"))
    assert starts(found) == [(Fraction(0), 67)]
    assert [[n.pitch for n in part] for part in found.parts] == [[64]]


def test_endings_are_played_in_their_pass(tmp_path: Path) -> None:
    left = '<barline location="left"><ending number="{0}" type="start"/></barline>'
    right = '<barline location="right"><ending number="{0}" type="stop"/>{1}</barline>'
    back = '<repeat direction="backward"/>'
    found = score(
        tmp_path,
        note("C", 8, "one"),
        left.format(1) + note("D", 8, "two") + right.format(1, back),
        left.format(2) + note("E", 8, "three") + right.format(2, ""),
    )
    assert [pitch for _, pitch in starts(found)] == [60, 62, 60, 64]


def test_damage_and_jumps_are_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="jumps by 'dacapo'"):
        score(tmp_path, note("C", 8, "one") + '<direction><sound dacapo="yes"/></direction>')
    (tmp_path / "cut.xml").write_text("<score-partwise><part>")
    with pytest.raises(ScoreError, match="damaged or not MusicXML"):
        read_musicxml(tmp_path / "cut.xml")


def test_syllables_of_a_word_that_share_a_note_are_one() -> None:
    assert _mended("ex- press’d") == "express’d"
    assert _mended("many a") == "many a"
    assert _mended("night - ") == "night - "

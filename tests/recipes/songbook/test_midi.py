"""MIDI with lyric events, and karaoke files."""

from fractions import Fraction
from pathlib import Path

import pytest

from recipes.songbook.scores.library import read
from recipes.songbook.scores.model import Score

mido = pytest.importorskip("mido")
BEAT = 480


def write(path: Path, events: list[tuple[int, object]]) -> Path:
    """A file with one track; events are (beat in ticks, message)."""
    track, before = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda e: e[0]):
        track.append(message.copy(time=tick - before))
        before = tick
    file = mido.MidiFile(type=0, ticks_per_beat=BEAT)
    file.tracks.append(track)
    file.save(path)
    return path


def note(beat: float, length: float, pitch: int, channel: int = 0) -> list[tuple[int, object]]:
    on, off = int(beat * BEAT), int((beat + length) * BEAT) - 10
    return [
        (on, mido.Message("note_on", note=pitch, velocity=80, channel=channel)),
        (off, mido.Message("note_off", note=pitch, channel=channel)),
    ]


def lyric(beat: float, text: str, kind: str = "lyrics") -> tuple[int, object]:
    return int(beat * BEAT), mido.MetaMessage(kind, text=text)


def read_one(path: Path) -> Score:
    (reading,) = read(path)
    assert reading.score is not None, reading.reason
    return reading.score


MELODY = [*note(0, 1, 60), *note(1, 1, 62), *note(2, 1, 64), *note(3, 1, 65)]


def test_words_lie_under_the_notes_at_which_they_stand(tmp_path: Path) -> None:
    words = [lyric(0, "A-"), lyric(1, "bide"), lyric(3, "now")]
    chords = [*note(0, 4, 48, channel=1), *note(0, 1, 36, channel=9)]
    tempo = (0, mido.MetaMessage("set_tempo", tempo=600000))
    found = read_one(write(tmp_path / "a.mid", [tempo, *MELODY, *chords, *words]))
    assert found.verses[0].text() == "Abide now"
    assert [[n.pitch for n in s.notes] for s in found.verses[0].syllables] == [[60], [62, 64], [65]]
    assert found.tempos == ((Fraction(0), 100.0),)
    assert [[n.pitch for n in part] for part in found.parts] == [[48]]


def test_karaoke_text_parts_words_by_spaces(tmp_path: Path) -> None:
    words = [lyric(0, "@TSong", "text"), lyric(0, "\\A", "text"), lyric(1, "bide ", "text"), lyric(2, "/with ", "text")]
    found = read_one(write(tmp_path / "a.kar", [*MELODY, *words]))
    assert found.verses[0].text() == "Abide with"


def test_other_texts_take_no_word_from_its_note(tmp_path: Path) -> None:
    first = int(0.01 * BEAT)
    early = [(first, mido.Message("note_on", note=60, velocity=80)), (BEAT, mido.Message("note_off", note=60))]
    words = [lyric(0, "key signature", "text"), lyric(0.01, "1. A-", "text"), lyric(1, "bide", "text")]
    numbers = [lyric(2, "5", "text"), lyric(3, "now", "text")]
    key = (0, mido.MetaMessage("key_signature", key="F#m"))
    found = read_one(write(tmp_path / "a.mid", [key, *early, *MELODY[2:], *words, *numbers]))
    assert found.verses[0].text() == "Abide now"
    assert (found.fifths, found.minor) == (3, True)
    assert found.remarks == ("1 of 4 words have no note of their own, the first 'key signature' at quarter note 0.",)


def test_without_words_or_damaged(tmp_path: Path) -> None:
    (reading,) = read(write(tmp_path / "a.mid", MELODY))
    assert "no lyric events" in (reading.reason or "")
    (tmp_path / "b.mid").write_bytes(b"MThd\0\0")
    (reading,) = read(tmp_path / "b.mid")
    assert "damaged or not MIDI" in (reading.reason or "")

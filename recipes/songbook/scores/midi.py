"""Reads MIDI with lyric events, and karaoke files: the track under whose words notes start is the sung one."""

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from recipes.songbook.scores.abc_lexer import TONICS
from recipes.songbook.scores.abc_words import LABEL
from recipes.songbook.scores.model import ScoreError
from recipes.songbook.scores.raw import RawNote, RawScore, RawVoice, Word

NEAR = Fraction(1, 8)
"""How far a lyric may stand from its note, and how large a gap inside a melisma may be, in quarter notes."""
DRUMS = 9


@dataclass(slots=True)
class _Lyric:
    place: Fraction
    text: str


def read_midi(path: Path) -> RawScore:
    """Read a standard MIDI file.

    Args:
        path: type 0 or 1, with lyric events, or text events as karaoke files have them.

    Raises:
        ScoreError: it is not MIDI, or has no words.
    """
    try:
        import mido
    except ImportError:
        raise ScoreError("Reading MIDI needs mido: pip install '.[songbook]'.") from None
    try:
        file = mido.MidiFile(path, clip=True)
    except (EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise ScoreError(f"It is damaged or not MIDI ({error}): export it again.") from None
    if file.ticks_per_beat < 1:
        raise ScoreError("It counts in film frames: export it with ticks per quarter note.")
    score = RawScore(title=path.stem.replace("_", " "))
    voices: dict[tuple[int, int], RawVoice] = {}
    lyrics: list[_Lyric] = []
    texts: dict[int, list[_Lyric]] = {}
    for number, track in enumerate(file.tracks):
        tick = 0
        sounding: dict[tuple[int, int], RawNote] = {}
        for message in track:
            tick += message.time
            place = Fraction(tick, file.ticks_per_beat)
            if message.type == "lyrics":
                lyrics.append(_Lyric(place, message.text))
            elif message.type == "text" and message.text[:1] not in "@%" and not message.text.strip().isdigit():
                texts.setdefault(number, []).append(_Lyric(place, message.text))
            elif message.type == "key_signature" and place == 0:
                score.minor = message.key.endswith("m")
                tonic = message.key.removesuffix("m")
                score.fifths = TONICS[tonic[0]] + 7 * (tonic.count("#") - tonic.count("b")) - 3 * score.minor
            elif message.type == "set_tempo":
                score.tempos.append((place, 60e6 / message.tempo))
            elif message.type == "time_signature" and place == 0:
                score.bar_length = Fraction(4 * message.numerator, message.denominator)
            elif message.type in ("note_on", "note_off") and message.channel != DRUMS:
                begun = sounding.pop((message.channel, message.note), None)
                if begun is not None:
                    begun.duration = place - begun.start
                if message.type == "note_on" and message.velocity > 0:
                    note = RawNote(place, Fraction(0), [message.note])
                    sounding[message.channel, message.note] = note
                    voice = voices.setdefault((number, message.channel), RawVoice(track.name or f"track {number + 1}"))
                    voice.notes.append(note)
    starts = {note.start for voice in voices.values() for note in voice.notes}
    karaoke = max(texts.values(), key=lambda track: sum(t.place in starts for t in track), default=[])
    words = _syllables(lyrics or karaoke)
    if not words:
        raise ScoreError("It has no lyric events: add them in a sequencer or a notation program.")
    if not voices:
        raise ScoreError("It has no notes.")
    _finish(score, list(voices.values()), words)
    return score


def _syllables(events: list[_Lyric]) -> list[tuple[Fraction, Word]]:
    """Events as syllables: a word goes on after a hyphen, or, where events have spaces, unless one is between."""
    kept = [
        _Lyric(e.place, e.text.lstrip("\\/\r\n") if e.text[:1] not in "\\/\r\n" else " " + e.text.lstrip("\\/\r\n"))
        for e in events
    ]
    kept = [e for e in kept if e.text.strip()]
    spaced = sum(e.text != e.text.strip() for e in kept) > len(kept) / 4
    words = []
    for event, after in itertools.zip_longest(kept, kept[1:], fillvalue=_Lyric(Fraction(0), " ")):
        text = LABEL.sub("", event.text.strip()) or event.text.strip()
        hyphen = text.endswith("-") and len(text) > 1
        together = spaced and not event.text[-1:].isspace() and not after.text[:1].isspace()
        words.append((event.place, Word("syllable", text.rstrip("-") if hyphen else text, hyphen or together)))
    return words


def _finish(score: RawScore, voices: list[RawVoice], words: list[tuple[Fraction, Word]]) -> None:
    """Lay the words under the voice most of whose notes start where words stand."""
    end = max(note.end for voice in voices for note in voice.notes)
    for voice in voices:
        voice.notes.sort(key=lambda note: (note.start, note.pitches))
        voice.end = end

    def hits(voice: RawVoice) -> int:
        starts = {note.start for note in voice.notes}
        return sum(place in starts for place, _ in words)

    sung = max(voices, key=lambda voice: (hits(voice), -len(voice.notes)))
    sung.notes = _one_line(sung.notes)
    nearest: dict[Fraction, tuple[Fraction, Word]] = {}
    for place, word in words:
        note = min(sung.notes, key=lambda n: abs(n.start - place))
        distance = abs(note.start - place)
        if distance <= NEAR and (note.start not in nearest or distance < nearest[note.start][0]):
            nearest[note.start] = (distance, word)
            note.words[0] = word
    lost = [(place, word) for place, word in words if not any(word is kept for _, kept in nearest.values())]
    if lost:
        place, word = lost[0]
        score.remarks.append(
            f"{len(lost)} of {len(words)} words have no note of their own, the first {word.text!r} at quarter note "
            f"{float(place):g}."
        )
    for note in sung.notes:
        note.otherwise = "hold"
    length = score.bar_length
    score.bars = {length * bar for bar in range(int(end / length) + 1)}
    score.voices = voices


def _one_line(notes: list[RawNote]) -> list[RawNote]:
    """The highest note at each moment, each ending where the next begins if they overlap or nearly touch."""
    tops: dict[Fraction, RawNote] = {}
    for note in notes:
        if note.start not in tops or note.pitches[0] > tops[note.start].pitches[0]:
            tops[note.start] = note
    line = [tops[start] for start in sorted(tops)]
    for note, after in itertools.pairwise(line):
        if note.end > after.start - NEAR:
            note.duration = after.start - note.start
    return line

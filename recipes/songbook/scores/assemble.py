"""From voices as written to a score that can be sung: the sung voice, repeats, verses under notes, and every check."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction

from recipes.songbook.scores import repeats
from recipes.songbook.scores.dynamics import breakpoints
from recipes.songbook.scores.model import Note, Score, ScoreError, Syllable, Verse
from recipes.songbook.scores.raw import RawNote, RawScore, RawVoice, Word
from recipes.songbook.scores.repeats import Stretch

USUAL_TEMPO = 100.0
TEMPO_RANGE = (20.0, 400.0)
PART_SONG_SHARE = 0.5
"""A second part with this share of the words makes a part-song, whose melody alone would lose half of the text."""
COMMON = frozenset(
    re.findall(
        r"\w+",
        "the and of to in a my i thy thee thou is his he her she we our me with for on all that it not be from so you "
        "your are was this but or have as who no when what at by they their then o oh will shall let us",
    )
)
COMMON_SHARE = 0.12
"""Fewer of the most frequent English words than this, in a verse of some length, is another language."""
SINGABLE = re.compile(r"[^\W\d_]")


def assemble(raw: RawScore, key: str) -> Score:
    """Check and complete what a reader has read.

    Args:
        raw: of a reader.
        key: the score's name.

    Returns:
        The score, with a remark for every verse that was left out.

    Raises:
        ScoreError: says why it cannot be sung.
    """
    sung = _sung_voice(raw)
    length = max(voice.end for voice in raw.voices)
    _check_lengths(raw, length)
    order = repeats.unfold(raw, length)
    notes = [(n, s) for n, s in repeats.played_times(_sounding(sung), lambda n: n.start, order)]
    remarks = list(raw.remarks)
    verses = _verses(notes, remarks)
    if not verses:
        reason = " ".join(remarks[:2]) or "no verse is complete."
        raise ScoreError(f"None of its verses can be sung: {reason}")
    dynamics = breakpoints(raw.dynamics, raw.hairpins)
    fermatas = {
        (n.start + s.shift, n.end + s.shift)
        for voice in raw.voices
        for n, s in repeats.played_times(_sounding(voice), lambda n: n.start, order)
        if n.fermata
    }
    return Score(
        key=key,
        title=raw.title or key,
        credits=tuple(raw.credits),
        licence=raw.licence,
        tempos=_tempos(raw, order),
        fifths=raw.fifths,
        minor=raw.minor,
        bars=tuple(sorted({b + s.shift for b, s in repeats.played_times({Fraction(0)} | raw.bars, Fraction, order)})),
        bar_length=raw.bar_length,
        verses=tuple(verses),
        melody=_joined([(n, s.shift) for n, s in notes], _top),
        parts=_parts(raw, sung, order),
        chords=_shifted(raw.chords, order),
        dynamics=_shifted(dynamics, order),
        fermatas=tuple(sorted(fermatas)),
        length=order[-1].end + order[-1].shift,
        remarks=tuple(remarks),
    )


def _sounding(voice: RawVoice) -> list[RawNote]:
    return [note for note in voice.notes if note.pitches and note.duration > 0]


def _shifted(items: Sequence[tuple[Fraction, object]], order: list[Stretch]) -> tuple:  # the second half is any value
    placed = [(place + s.shift, value) for (place, value), s in repeats.played_times(items, lambda i: i[0], order)]
    return tuple(sorted(placed, key=lambda item: item[0]))


def _sung_voice(raw: RawScore) -> RawVoice:
    if not any(note.pitches for voice in raw.voices for note in voice.notes):
        raise ScoreError("It has no notes.")
    ranked = sorted(raw.voices, key=RawVoice.syllables, reverse=True)
    first = ranked[0]
    if first.syllables() == 0 and raw.remarks:
        raise ScoreError(f"None of its word lines fits its notes: {' '.join(raw.remarks[:2])}")
    if first.syllables() == 0:
        raise ScoreError(
            "It has no words under its notes: add w: lines (ABC), lyrics (MusicXML) or lyric events (MIDI)."
        )
    if len(ranked) > 1 and ranked[1].syllables() >= PART_SONG_SHARE * first.syllables():
        raise ScoreError(
            f"It is a part-song: {first.name!r} has {first.syllables()} syllables and {ranked[1].name!r} "
            f"{ranked[1].syllables()}; leave the words in one voice."
        )
    return first


def _check_lengths(raw: RawScore, length: Fraction) -> None:
    """Voices that end at different times have drifted apart somewhere, and would accompany with wrong notes."""
    short = [v for v in raw.voices if v.notes and v.end != length]
    if short:
        raise ScoreError(
            f"Its voices have different lengths: {short[0].name!r} ends after {float(short[0].end):g} quarter notes, "
            f"the longest after {float(length):g}; correct the note lengths."
        )


def _tempos(raw: RawScore, order: list[Stretch]) -> tuple[tuple[Fraction, float], ...]:
    low, high = TEMPO_RANGE
    for _, tempo in raw.tempos:
        if not low <= tempo <= high:
            raise ScoreError(
                f"Its tempo is {tempo:g} quarter notes a minute; {low:g} to {high:g} can be sung: correct it."
            )
    played = _shifted(sorted(raw.tempos), order)
    if not played:
        return ((Fraction(0), USUAL_TEMPO),)
    return ((Fraction(0), played[0][1]), *(t for t in played if t[0] > 0))


def _parts(raw: RawScore, sung: RawVoice, order: list[Stretch]) -> tuple[tuple[Note, ...], ...]:
    """Every other voice, and what the sung one has below its highest notes."""
    parts = []
    for voice in raw.voices:
        played = repeats.played_times(_sounding(voice), lambda n: n.start, order)
        part = _joined([(note, s.shift) for note, s in played], _below if voice is sung else _all)
        parts += [part] if part else []
    return tuple(parts)


def _top(pitches: list[int]) -> list[int]:
    return [max(pitches)]


def _below(pitches: list[int]) -> list[int]:
    return sorted(set(pitches))[:-1]


def _all(pitches: list[int]) -> list[int]:
    return sorted(set(pitches))


def _joined(notes: list[tuple[RawNote, Fraction]], chosen: Callable[[list[int]], list[int]]) -> tuple[Note, ...]:
    """Notes with ties made one note each, of the pitches that are chosen from each chord."""
    done: list[Note] = []
    open_ties: dict[int, int] = {}
    for note, shift in notes:
        for pitch in chosen(note.pitches):
            start = note.start + shift
            place = open_ties.pop(pitch, None)
            if place is not None and done[place].end == start:
                done[place] = Note(done[place].start, done[place].duration + note.duration, pitch)
            else:
                place = len(done)
                done.append(Note(start, note.duration, pitch))
            if pitch in note.ties:
                open_ties[pitch] = place
    return tuple(done)


def _verses(notes: list[tuple[RawNote, Stretch]], remarks: list[str]) -> list[Verse]:
    """Every complete verse; a remark for each of the others.

    A passage with `k` lines that is played `n` times in a pass of the piece gives a verse `n` of its lines; where it
    has fewer than `n`, or only one, they are a refrain.
    """
    worded = [(note, stretch) for note, stretch in notes if note.words]
    count = max(-(-(max(n.words) + 1) // s.turns) if max(n.words) + 1 >= s.turns else 1 for n, s in worded)
    verses = []
    for number in range(count):
        label = str(number + 1)
        chosen = [(note, stretch, _word(note, stretch, number)) for note, stretch in notes]
        missing = next((n for n, _, word in chosen if word is None), None)
        torn = next((n for n, _, word in chosen if word is not None and word.text == "?"), None)
        if missing is not None:
            remarks.append(f"Verse {label} is left out: it has no words at quarter note {float(missing.start):g}.")
        elif torn is not None:
            remarks.append(f"Verse {label} is left out: its words and notes do not match.")
        else:
            syllables = _syllables([(note, stretch.shift, word) for note, stretch, word in chosen if word is not None])
            wrong = _unsingable(syllables) or _foreign(Verse(label, tuple(syllables)))
            if wrong:
                remarks.append(f"Verse {label} is left out: {wrong}")
            elif syllables:
                verses.append(Verse(label, tuple(syllables)))
    return verses


def _word(note: RawNote, stretch: Stretch, verse: int) -> Word | None:
    """What a verse has under a note; None where the score has other verses there and not this one."""
    if not note.words:
        return Word(note.otherwise)
    lines = max(note.words) + 1
    line = verse * stretch.turns + stretch.turn if lines >= stretch.turns else verse
    if line in note.words:
        return note.words[line]
    if len(note.words) == 1:
        return next(iter(note.words.values()))
    return None


def _syllables(chosen: list[tuple[RawNote, Fraction, Word]]) -> list[Syllable]:
    """Syllables with their notes: a hold goes on with the syllable before if no rest lies between."""
    groups: list[tuple[Word, list[tuple[RawNote, Fraction]]]] = []
    tied = False
    for note, shift, word in chosen:
        before = groups[-1][1][-1] if groups else None
        follows = before is not None and before[0].end + before[1] == note.start + shift
        if word.kind == "syllable":
            groups.append((word, [(note, shift)]))
        elif follows and (word.kind == "hold" or tied):
            groups[-1][1].append((note, shift))
        tied = bool(note.ties)
    heads = [word for word, _ in groups]
    goes_on = [w.joined and after.continues is not False for w, after in itertools.pairwise(heads)]
    return [
        Syllable(_mended(word.text), joined, _joined(notes, _top))
        for (word, notes), joined in zip(groups, [*goes_on, False], strict=False)
    ]


def _mended(text: str) -> str:
    """A syllable without marks of notation fonts, and with the letter that old conversions lost in `blessèd`.

    Two syllables of a word that share a note are one: "ex- press'd".
    """
    plain = re.sub("[\ue550-\ue553‿]", " ", re.sub("\ufffd(?=d)", "è", text))
    return re.sub(r"(?<=\w)[-–—]\s+(?=\w)", "", plain)


def _unsingable(syllables: list[Syllable]) -> str | None:
    for syllable in syllables:
        if "\ufffd" in syllable.text:
            return f"{syllable.text!r} has a letter that was lost in a conversion: correct it."
        bare = unicodedata.normalize("NFKD", syllable.text)
        letters = [c for c in bare if SINGABLE.match(c)]
        foreign = next((c for c in letters if not ("a" <= c.lower() <= "z" or c in "æÆœŒßøØ")), None)
        if foreign:
            return f"{syllable.text!r} has the letter {foreign!r}, and the voices sing English in Latin letters."
        digit = next((c for c in bare if c.isdigit()), None)
        if digit:
            return f"{syllable.text!r} has the digit {digit!r}: write the number as a word."
        if not letters:
            return f"the syllable {syllable.text!r} has no letters."
    return None


def _foreign(verse: Verse) -> str | None:
    words = re.findall(r"[a-z]+", verse.text().lower())
    common = sum(word in COMMON for word in words)
    if len(words) >= 20 and common < COMMON_SHARE * len(words):
        return f"its words do not look English ({' '.join(words[:5])}), and the voices speak nothing else."
    return None

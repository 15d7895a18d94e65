"""Phones on notes: a vowel starts with its note, and the consonants before it borrow time from the note before."""

from dataclasses import dataclass, field

from recipes.songbook.voice.frontend import SpokenPhrase, SpokenSyllable, respell, speak
from recipes.songbook.voice.line import SungNote, SungSyllable, phrases
from recipes.songbook.voice.phones import VOWELS, consonant_s

BREATH_S = 0.16
CONSONANT_SHARE = 0.55
"""At most this share of a note goes to consonants; the rest stays with its vowel."""
ONSET_SHARE = 0.8
"""Of the silence before a phrase, what its first consonants may take."""


@dataclass(frozen=True, slots=True)
class TimedPhone:
    """A phone with its time, the place of its label in the phrase, and the word it belongs to."""

    name: str
    label: int
    start_s: float
    end_s: float
    word: int
    syllable: int


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as written, from its first phone to its last, and where its first note starts."""

    text: str
    start_s: float
    end_s: float
    note_s: float


@dataclass(frozen=True, slots=True)
class TimedSyllable:
    """A syllable as written, from its first phone to its last."""

    text: str
    start_s: float
    end_s: float


@dataclass(slots=True)
class TimedPhrase:
    """Everything a voice needs to sing a phrase."""

    phones: list[TimedPhone]
    notes: list[SungNote]
    words: list[TimedWord]
    syllables: list[TimedSyllable]
    labels: list[str]


@dataclass(slots=True)
class _Unit:
    """A syllable to sing: consonants, vowels (with what lies between two), consonants; and its notes."""

    onset: list[tuple[str, int]]
    nucleus: list[tuple[str, int]]
    coda: list[tuple[str, int]]
    notes: list[SungNote]
    word: int
    onset_s: list[float] = field(default_factory=list)
    coda_s: list[float] = field(default_factory=list)
    end_s: float = 0.0


def plan(syllables: list[SungSyllable]) -> list[TimedPhrase]:
    """Phones, words and syllables in time for everything a voice sings.

    Args:
        syllables: in the order of time.

    Returns:
        Phrases in the order of time. Phones do not overlap, inside a phrase they leave no gap, and a syllable's first
        vowel starts with its first note.
    """
    lines = phrases(syllables)
    texts = [[respell("".join(s.text for s in word), word[-1].text) for word in line] for line in lines]
    spoken = speak(texts) if lines else []
    units = [_units(line, phrase) for line, phrase in zip(lines, spoken, strict=True)]
    timed = []
    end_before = 0.0
    for index, (line, phrase) in enumerate(zip(lines, spoken, strict=True)):
        after = units[index + 1] if index + 1 < len(units) else None
        _share_time(units[index], end_before, after)
        timed.append(_timed(line, units[index], phrase.labels))
        end_before = timed[-1].phones[-1].end_s
    return timed


def _units(line: list[list[SungSyllable]], phrase: SpokenPhrase) -> list[_Unit]:
    found = []
    for number, (word, spoken) in enumerate(zip(line, phrase.words, strict=True)):
        groups = _as_many(spoken, len(word))
        notes = [list(syllable.notes) for syllable in word]
        while len(notes) > len(groups):  # more written syllables than spoken: hold the vowel over two of them
            place = min(len(groups) - 1, len(notes) - 2)
            notes[place : place + 2] = [notes[place] + notes[place + 1]]
        for group, under in zip(groups, notes, strict=True):
            vowels = [i for i, (phone, _) in enumerate(group) if phone in VOWELS]
            if vowels:
                first, last = vowels[0], vowels[-1] + 1
            else:  # a word such as "mm" sings its first voiced sound
                first, last = len(group) - 1, len(group)
            found.append(_Unit(group[:first], group[first:last], group[last:], under, number))
    return found


def _as_many(spoken: list[SpokenSyllable], count: int) -> list[list[tuple[str, int]]]:
    """Spoken syllables, the weakest neighbours joined while there are more than `count`."""
    groups = [(syllable.stress, list(syllable.phones)) for syllable in spoken]
    while len(groups) > count:
        place = min(range(len(groups) - 1), key=lambda i: (groups[i][0] + groups[i + 1][0], -i))
        (stress, phones), (stress_after, phones_after) = groups[place : place + 2]
        groups[place : place + 2] = [(max(stress, stress_after), phones + phones_after)]
    return [phones for _, phones in groups]


def _share_time(units: list[_Unit], end_before: float, after: list[_Unit] | None) -> None:
    """Give every consonant its seconds; vowels have what is left."""
    first = units[0]
    wanted = [1.1 * consonant_s(phone) for phone, _ in first.onset]
    room = ONSET_SHARE * max(0.0, first.notes[0].start_s - end_before)
    first.onset_s = _within(wanted, room)
    for unit, following in zip(units, [*units[1:], None], strict=True):
        start, end = unit.notes[0].start_s, unit.notes[-1].end_s
        if following is None:  # breathe, and leave the next phrase its first consonants
            last = end - unit.notes[-1].start_s
            breath = min(BREATH_S, 0.25 * last)
            if after is not None:
                need = sum(1.1 * consonant_s(phone) for phone, _ in after[0].onset) / ONSET_SHARE
                silence = max(0.0, after[0].notes[0].start_s - end)
                breath = max(breath, min(need - silence, 0.4 * last))
            unit.end_s = end - breath
        else:
            unit.end_s = following.notes[0].start_s
        longer = 1.15 if following is None else 0.8
        coda = [longer * consonant_s(phone) for phone, _ in unit.coda]
        onset = following.onset if following is not None else []
        crowded = 0.85 if len(onset) > 1 else 1.0
        both = _within(
            coda + [crowded * consonant_s(phone) for phone, _ in onset], CONSONANT_SHARE * (unit.end_s - start)
        )
        unit.coda_s = both[: len(coda)]
        if following is not None:
            following.onset_s = both[len(coda) :]


def _within(lengths: list[float], room: float) -> list[float]:
    total = sum(lengths)
    return [length * room / total for length in lengths] if total > room else lengths


def _nucleus(unit: _Unit, length: float) -> list[float]:
    """Seconds of each phone of a nucleus: its first vowel takes all that the others do not need."""
    if len(unit.nucleus) == 1:
        return [length]
    short = min(0.12, 0.3 * length / max(1, len(unit.nucleus) - 1))
    others = [short if phone in VOWELS else min(0.7 * consonant_s(phone), short) for phone, _ in unit.nucleus[1:]]
    return [length - sum(others), *others]


def _timed(line: list[list[SungSyllable]], units: list[_Unit], labels: list[str]) -> TimedPhrase:
    phones: list[TimedPhone] = []
    for number, unit in enumerate(units):
        after = units[number + 1].onset_s if number + 1 < len(units) else []
        start = unit.notes[0].start_s
        nucleus = _nucleus(unit, unit.end_s - sum(after) - sum(unit.coda_s) - start)
        here = start - sum(unit.onset_s)
        names = unit.onset + unit.nucleus + unit.coda
        for (name, label), seconds in zip(names, [*unit.onset_s, *nucleus, *unit.coda_s], strict=True):
            phones.append(TimedPhone(name, label, here, here + seconds, unit.word, number))
            here += seconds
    words = []
    for number, word in enumerate(line):
        own = [phone for phone in phones if phone.word == number]
        text = "".join(syllable.text for syllable in word)
        words.append(TimedWord(text, own[0].start_s, own[-1].end_s, word[0].start_s))
    return TimedPhrase(phones, [n for u in units for n in u.notes], words, _syllables(line, phones, words), labels)


def _syllables(line: list[list[SungSyllable]], phones: list[TimedPhone], words: list[TimedWord]) -> list[TimedSyllable]:
    """Written syllables: the first starts and the last ends with its word, borders between are the notes' onsets."""
    timed = []
    for word, spoken in zip(line, words, strict=True):
        starts = [spoken.start_s]
        for syllable in word[1:]:
            vowel = next((p for p in phones if abs(p.start_s - syllable.start_s) < 1e-6), None)
            first = [p for p in phones if vowel is not None and p.syllable == vowel.syllable]
            start = min((p.start_s for p in first), default=syllable.start_s)
            starts.append(min(start, spoken.end_s))  # the next word's consonants may take a note that is held over
        ends = [*starts[1:], spoken.end_s]
        timed += [TimedSyllable(s.text, a, b) for s, a, b in zip(word, starts, ends, strict=True)]
    return timed

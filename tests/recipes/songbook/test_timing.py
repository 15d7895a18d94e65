"""Laws of time: vowels on notes, no overlap, no gap inside a phrase, whatever the words and the rhythm."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from recipes.songbook.voice import timing
from recipes.songbook.voice.frontend import SpokenPhrase, SpokenSyllable
from recipes.songbook.voice.line import SungNote, SungSyllable
from recipes.songbook.voice.phones import VOWELS

CLUSTERS = ((), ("s",), ("s", "t", "r"), ("dh",), ("n", "d", "z"), ("k", "w"))
NEAR = 1e-9


@st.composite
def sung(draw: st.DrawFn) -> list[SungSyllable]:
    """Words of one to three syllables on one or two notes each, fast and slow, with rests here and there."""
    syllables, here = [], draw(st.floats(0.3, 1.0))
    for _ in range(draw(st.integers(1, 12))):
        count = draw(st.integers(1, 3))
        for place in range(count):
            notes = []
            for _ in range(draw(st.integers(1, 2))):
                length = draw(st.floats(0.08, 3.0))
                notes.append(SungNote(here, here + length, draw(st.integers(45, 70)), 80))
                here += length
            text = draw(st.sampled_from(["la", "lo,", "li."]))
            syllables.append(SungSyllable(text, place < count - 1, tuple(notes)))
        here += draw(st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0]))
    return syllables


def spoken_as(draw: DataObject) -> object:
    """A dictionary that answers each word with syllables of any consonants, more or fewer than the score has."""

    def speak(texts: list[list[list[str]]]) -> list[SpokenPhrase]:
        phrases = []
        for words in texts:
            places = itertools.count(1)
            answer = []
            for _ in words:
                word = []
                for _ in range(draw.draw(st.integers(1, 4))):
                    onset, coda = draw.draw(st.sampled_from(CLUSTERS)), draw.draw(st.sampled_from(CLUSTERS))
                    names = (*onset, draw.draw(st.sampled_from(["aa", "iy"])), *coda)
                    word.append(SpokenSyllable(draw.draw(st.integers(0, 1)), [(n, next(places)) for n in names]))
                answer.append(word)
            phrases.append(SpokenPhrase(answer, [""] * (next(places) + 1)))
        return phrases

    return speak


def planned(syllables: list[SungSyllable], data: DataObject) -> list[timing.TimedPhrase]:
    """The phrases of syllables whose phones are anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "speak", spoken_as(data))
        return timing.plan(syllables)


@settings(max_examples=25, deadline=None)
@given(sung(), st.data())
def test_phones_follow_each_other_and_vowels_stand_on_notes(syllables: list[SungSyllable], data: DataObject) -> None:
    phrases = planned(syllables, data)
    phones = [phone for phrase in phrases for phone in phrase.phones]
    assert all(phone.end_s > phone.start_s for phone in phones)
    assert all(after.start_s >= before.end_s - NEAR for before, after in itertools.pairwise(phones))
    for phrase in phrases:
        assert all(abs(b.start_s - a.end_s) < NEAR for a, b in itertools.pairwise(phrase.phones))
    vowels = [phone.start_s for phone in phones if phone.name in VOWELS]
    notes = [note.start_s for syllable in syllables for note in syllable.notes]
    begun = [word.note_s for phrase in phrases for word in phrase.words]
    assert all(any(abs(vowel - note) < NEAR for vowel in vowels) for note in begun)
    firsts = {
        (p, phone.syllable): phone
        for p, phrase in enumerate(phrases)
        for phone in reversed(phrase.phones)
        if phone.name in VOWELS
    }
    assert all(any(abs(phone.start_s - note) < NEAR for note in notes) for phone in firsts.values())
    assert phones[0].start_s >= 0
    assert phones[-1].end_s <= syllables[-1].end_s + NEAR


@settings(max_examples=12, deadline=None)
@given(sung(), st.data())
def test_words_and_syllables_are_all_there_in_order(syllables: list[SungSyllable], data: DataObject) -> None:
    phrases = planned(syllables, data)
    written = [s for phrase in phrases for s in phrase.syllables]
    assert [s.text for s in written] == [s.text for s in syllables]
    assert all(s.end_s >= s.start_s - NEAR for s in written)
    assert all(b.start_s >= a.end_s - NEAR for a, b in itertools.pairwise(written))
    assert "".join(w.text for phrase in phrases for w in phrase.words) == "".join(s.text for s in syllables)
